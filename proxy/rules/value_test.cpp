#include "rules/value_test.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <compare>

namespace imdsgate::eql {
namespace {

std::partial_ordering compare(Number const &a, Number const &b) {
  if (a.integral && b.integral) return a.integer <=> b.integer;
  return a.real <=> b.real;
}

bool holds(Comparison::Operator op, std::partial_ordering order) {
  switch (op) {
    case Comparison::Operator::equal: return order == 0;
    case Comparison::Operator::not_equal: return order != 0;
    case Comparison::Operator::less: return order < 0;
    case Comparison::Operator::less_equal: return order <= 0;
    case Comparison::Operator::greater: return order > 0;
    case Comparison::Operator::greater_equal: return order >= 0;
  }
  __builtin_unreachable();
}

}  // namespace

std::optional<Number> read_number(std::string_view text) {
  // "inf" and "nan", which from_chars knows, are words.
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != text.npos) return std::nullopt;
  char const *const first = text.data();
  char const *const last = first + text.size();
  Number number;
  if (auto const [end, ec] = std::from_chars(first, last, number.integer); ec == std::errc{} && end == last) {
    number.real = static_cast<double>(number.integer);
    return number;
  }
  number.integral = false;
  if (auto const [end, ec] = std::from_chars(first, last, number.real); ec == std::errc{} && end == last) {
    return number;
  }
  return std::nullopt;
}

bool OneOf::fits(std::string_view value) const {
  if (address_field) {
    auto const address = Address::parse(value);
    if (!address) return texts.matches(value);
    if (std::find(addresses.begin(), addresses.end(), *address) != addresses.end()) return true;
    return texts.matches(address->to_string());
  }
  if (texts.matches(value)) return true;
  if (numbers.empty()) return false;
  auto const number = read_number(value);
  return number && std::any_of(numbers.begin(), numbers.end(),
                               [&](Number const &wanted) { return compare(*number, wanted) == 0; });
}

bool Bound::fits(std::string_view value) const {
  if (auto const *text = std::get_if<std::string>(&bound))
    return holds(op, value <=> std::string_view(*text));
  if (auto const *limit = std::get_if<Number>(&bound)) {
    auto const number = read_number(value);
    return number && holds(op, compare(*number, *limit));
  }
  auto const address = Address::parse(value);
  return address && holds(op, *address <=> std::get<Address>(bound));
}

}  // namespace imdsgate::eql
