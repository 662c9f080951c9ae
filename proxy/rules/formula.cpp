#include "rules/formula.hpp"

#include <algorithm>
#include <compare>

namespace imdsgate::eql {
namespace {

Value value_of(ValueExpression::Literal const &literal) {
  return std::visit(
      [](auto const &is) -> Value {
        if constexpr (std::is_same_v<std::decay_t<decltype(is)>, std::string>) {
          return std::string_view(is);
        } else {
          return is;
        }
      },
      literal);
}

// A field of addresses has one text for each address, however the event wrote it.
Value field_value(ValueExpression::Field const &field, Chosen chosen, Texts &texts) {
  std::string_view const text = chosen[field.index];
  auto const address = field.address ? std::optional(Address::parse(text)) : std::nullopt;
  if (!address || !*address) return text;
  std::string &canonical = texts.next();
  canonical = (*address)->to_string();
  return std::string_view(canonical);
}

Value call(ValueExpression::Called const &called, Chosen chosen, Texts &texts) {
  Value arguments[kMostArguments];
  std::size_t count = 0;
  auto const &parameters = called.function->parameters;
  for (ValueExpression const &argument : called.arguments) {
    Parameter const parameter = parameters[std::min(count, parameters.size() - 1)];
    Value const value = converted(evaluate(argument, chosen, texts), parameter, argument.field() != nullptr);
    if (is_null(value)) return {};
    arguments[count++] = value;
  }
  return called.function->call({arguments, count}, called.folded, texts);
}

bool fits(ValueTest const &test, std::string_view text) {
  return std::visit([&](auto const &one) { return one.fits(text); }, test);
}

// Both from fields, whose type nobody knows: as numbers or addresses where both read as such, else as texts.
std::partial_ordering compare_fields(std::string_view a, std::string_view b) {
  auto const left = read_number(a), right = read_number(b);
  return left && right ? compare(*left, *right) : a <=> b;
}

std::partial_ordering compare_addresses(std::string_view a, std::string_view b) {
  auto const left = Address::parse(a), right = Address::parse(b);
  return left && right ? *left <=> *right : a <=> b;
}

bool compares(Formula::Compares const &how, Value const &left, Value const &right) {
  using As = Formula::Compares::As;
  auto const as = [&](Parameter kind, auto compare) {
    Value const a = converted(left, kind, true), b = converted(right, kind, true);
    return !is_null(a) && !is_null(b) && holds(how.op, compare(a, b));
  };
  auto const texts = [](auto compare) {
    return [compare](Value const &a, Value const &b) -> std::partial_ordering {
      return compare(std::get<std::string_view>(a), std::get<std::string_view>(b));
    };
  };
  switch (how.as) {
    case As::numbers:
      return as(Parameter::number, [](Value const &a, Value const &b) {
        return compare(std::get<Number>(a), std::get<Number>(b));
      });
    case As::booleans:
      return as(Parameter::boolean, [](Value const &a, Value const &b) -> std::partial_ordering {
        return std::get<bool>(a) <=> std::get<bool>(b);
      });
    case As::texts: return as(Parameter::text, texts([](auto a, auto b) { return a <=> b; }));
    case As::fields: return as(Parameter::text, texts(compare_fields));
    case As::addresses: return as(Parameter::text, texts(compare_addresses));
  }
  __builtin_unreachable();
}

}  // namespace

Value evaluate(ValueExpression const &expression, Chosen chosen, Texts &texts) {
  if (auto const *literal = expression.literal()) return value_of(*literal);
  if (auto const *field = expression.field()) return field_value(*field, chosen, texts);
  if (auto const *called = std::get_if<ValueExpression::Called>(&expression.is))
    return call(*called, chosen, texts);
  auto const &tested = std::get<ValueExpression::Tested>(expression.is);
  Value const subject = evaluate(*tested.subject, chosen, texts);
  auto const *text = std::get_if<std::string_view>(&subject);
  if (text == nullptr) return {};
  return fits(*tested.test, *text);
}

bool Formula::holds(Chosen chosen, Texts &texts) const {
  texts.reset();
  Value const value = evaluate(left, chosen, texts);
  if (is_null(value)) return false;
  if (std::holds_alternative<Exists>(asks)) return true;
  if (std::holds_alternative<Holds>(asks)) {
    auto const *truth = std::get_if<bool>(&value);
    return truth != nullptr && *truth;
  }
  if (auto const *wanted = std::get_if<Fits>(&asks)) {
    auto const *text = std::get_if<std::string_view>(&value);
    return text != nullptr && fits(wanted->test, *text);
  }
  auto const &how = std::get<Compares>(asks);
  return compares(how, value, evaluate(how.right, chosen, texts));
}

}  // namespace imdsgate::eql
