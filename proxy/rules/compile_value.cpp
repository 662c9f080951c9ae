#include "rules/compile_value.hpp"

#include <algorithm>

#include "model/strict_yaml.hpp"
#include "rules/excerpt.hpp"

namespace imdsgate::eql {
namespace {

using Literal = ValueExpression::Literal;

std::string lower(std::string_view name) {
  std::string result(name);
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return result;
}

// Arguments as they may be counted: "2 arguments", "3 or 4 arguments", "1 to 32 arguments", "2 arguments or
// more".
std::string arity(Function const &function) {
  auto const &[least, most] = std::pair(function.least, function.most);
  std::string text = std::to_string(least);
  if (most == kNoLimit) return text + (least == 1 ? " argument or more" : " arguments or more");
  if (most > least) text += (most == least + 1 ? " or " : " to ") + std::to_string(most);
  return text + (most == 1 ? " argument" : " arguments");
}

bool takes(Parameter parameter, Type type) {
  if (type == Type::field || parameter == Parameter::any) return true;
  switch (parameter) {
    case Parameter::boolean: return type == Type::boolean;
    case Parameter::number: return type == Type::number;
    case Parameter::text:
    case Parameter::pattern: return type == Type::text;
    case Parameter::any: return true;
  }
  __builtin_unreachable();
}

std::string_view wanted(Parameter parameter) {
  switch (parameter) {
    case Parameter::boolean: return "true or false";
    case Parameter::number: return "a number";
    case Parameter::text: return "a string";
    case Parameter::pattern: return "a string literal";
    case Parameter::any: return "a value";
  }
  __builtin_unreachable();
}

Type type_of(Literal const &literal) {
  if (std::holds_alternative<bool>(literal)) return Type::boolean;
  return std::holds_alternative<Number>(literal) ? Type::number : Type::text;
}

Literal literal_of(Value const &value) {
  return std::visit(
      [](auto const &is) -> Literal {
        if constexpr (std::is_same_v<std::decay_t<decltype(is)>, std::string_view>) {
          return std::string(is);
        } else {
          return is;
        }
      },
      value);
}

bool is_null(Node const &node) {
  return std::holds_alternative<Null>(node.is);
}

class ValueCompiler {
 public:
  using Result = std::optional<ValueExpression>;

  ValueCompiler(Compilation &state, std::vector<std::string> &fields) : state_(state), fields_(fields) {}

  Result compile(Node const &node) {
    return std::visit([&](auto const &is) { return value(node, is); }, node.is);
  }

 private:
  static ValueExpression null(Type type) { return {type, Literal()}; }
  static ValueExpression literal(Literal value) {
    Type const type = type_of(value);
    return {type, std::move(value)};
  }

  Result value(Node const &, Null const &) { return null(Type::field); }  // stands for a value of any type
  Result value(Node const &, bool is) { return literal(is); }
  Result value(Node const &, Number const &is) { return literal(is); }
  Result value(Node const &, std::string const &is) { return literal(is); }
  Result value(Node const &node, FieldName const &is) {
    if (state_.mentioning) state_.mentions.emplace_back(is, node.at);
    auto place = std::find(fields_.begin(), fields_.end(), is.name);
    if (place == fields_.end()) place = fields_.insert(place, is.name);
    auto const index = static_cast<std::uint32_t>(place - fields_.begin());
    return ValueExpression{Type::field, ValueExpression::Field{index, is_address_field(is.name)}};
  }
  Result value(Node const &node, Not const &) { return condition(node); }
  Result value(Node const &node, Logical const &) { return condition(node); }
  Result value(Node const &node, Comparison const &) { return condition(node); }
  Result value(Node const &node, Predicate const &) { return condition(node); }
  Result condition(Node const &node) {
    return state_.fail(node.at, "a condition is no value; expected a field, a function or a literal");
  }

  Result value(Node const &, Negative const &is) {
    auto operand = number(*is.operand, "-");
    if (!operand) return operand;
    std::vector<ValueExpression> arguments;
    arguments.push_back(literal(Number{}));
    arguments.push_back(std::move(*operand));
    return called(function_of('-'), false, std::move(arguments));
  }
  Result value(Node const &, Arithmetic const &is) {
    auto left = number(*is.left, std::string_view(&is.op, 1));
    auto right = left ? number(*is.right, std::string_view(&is.op, 1)) : std::nullopt;
    if (!right) return right;
    std::vector<ValueExpression> arguments;
    arguments.push_back(std::move(*left));
    arguments.push_back(std::move(*right));
    return called(function_of(is.op), false, std::move(arguments));
  }
  Result number(Node const &node, std::string_view op) {
    auto operand = compile(node);
    if (operand && !takes(Parameter::number, operand->type)) {
      return state_.fail(node.at, "expected a number beside " + quoted(op) + ", found " +
                                      std::string(described(operand->type)));
    }
    return operand;
  }

  Result value(Node const &node, Call const &is) {
    Function const *function = find_function(is.name);
    if (function == nullptr) return unknown(node, is);
    std::string const name = is.name + (is.insensitive ? "~" : "");
    if (is.insensitive && !function->folds) return state_.fail(node.at, is.name + " has no form with '~'");
    std::size_t const count = is.arguments.size();
    if (count < function->least || count > function->most) {
      return state_.fail(node.at, name + " takes " + arity(*function) + ", found " + std::to_string(count));
    }
    if (function->call == nullptr) return tested(*function, is);
    // "If this argument is explicitly null, the default value is used": the base's only.
    bool const by_default = function->name == "number" && count == 2 && is_null(*is.arguments[1]);
    std::vector<ValueExpression> arguments;
    for (std::size_t i = 0; i < (by_default ? 1 : count); ++i) {
      Node const &argument = *is.arguments[i];
      auto one = compile(argument);
      if (!one) return one;
      Parameter const parameter = function->parameters[std::min(i, function->parameters.size() - 1)];
      if (!takes(parameter, one->type)) {
        return state_.fail(argument.at, name + ": expected " + std::string(wanted(parameter)) + ", found " +
                                            std::string(described(one->type)));
      }
      arguments.push_back(std::move(*one));
    }
    return called(*function, is.insensitive, std::move(arguments));
  }

  Result unknown(Node const &node, Call const &is) {
    std::vector<std::string> names;
    for (Function const &function : functions()) names.push_back(lower(function.name));
    auto const near = yaml::nearest(lower(is.name), names);
    std::string const hint =
        near ? "; did you mean " + std::string(find_function(*near)->name) + "?" : std::string();
    return state_.fail(node.at, "there is no function " + is.name + hint);
  }

  // What names no field is computed here and now.
  static ValueExpression called(Function const &function, bool folded,
                                std::vector<ValueExpression> arguments) {
    bool const fixed = std::all_of(arguments.begin(), arguments.end(),
                                   [](ValueExpression const &one) { return one.literal() != nullptr; });
    ValueExpression result{function.result, ValueExpression::Called{&function, folded, std::move(arguments)}};
    if (fixed) compute(result);
    return result;
  }
  static void compute(ValueExpression &expression) {
    Texts texts;
    expression.is = literal_of(evaluate(expression, {}, texts));
  }

  Result tested(Function const &function, Call const &is) {
    auto subject = compile(*is.arguments.front());
    if (!subject) return subject;
    if (!takes(Parameter::text, subject->type)) {
      return state_.fail(is.arguments.front()->at,
                         is.name + ": expected a string, found " + std::string(described(subject->type)));
    }
    auto const patterns = std::span<NodePtr const>(is.arguments).subspan(1);
    if (std::ranges::any_of(patterns, [](NodePtr const &one) { return is_null(*one); }))
      return null(Type::boolean);
    auto const op = function.name == "match" ? Predicate::Operator::regex : Predicate::Operator::like;
    bool const address = subject->field() != nullptr && subject->field()->address;
    auto test = function.name == "cidrMatch"
                    ? compile_networks(state_, patterns)
                    : compile_patterns(state_, {op, function.name, is.insensitive, address}, patterns);
    if (!test) return std::nullopt;
    ValueExpression result{
        Type::boolean, ValueExpression::Tested{std::make_shared<ValueExpression const>(std::move(*subject)),
                                               std::make_shared<ValueTest const>(std::move(*test))}};
    if (std::get<ValueExpression::Tested>(result.is).subject->literal() != nullptr) compute(result);
    return result;
  }

  Compilation &state_;
  std::vector<std::string> &fields_;
};

}  // namespace

bool is_address_field(std::string_view name) {
  return name == "ip" || name.ends_with(".ip") || name == "dns.resolved_ip" || name == "network.forwarded_ip";
}

std::string_view described(Type type) {
  switch (type) {
    case Type::boolean: return "true or false";
    case Type::number: return "a number";
    case Type::text: return "a string";
    case Type::field: return "a field";
  }
  __builtin_unreachable();
}

std::optional<ValueExpression> compile_value(Compilation &state, Node const &node,
                                             std::vector<std::string> &fields) {
  return ValueCompiler(state, fields).compile(node);
}

std::optional<Literal> compile_literal(Compilation &state, Node const &node, std::string_view wanted) {
  if (std::holds_alternative<Null>(node.is)) return state.fail(node.at, std::string(wanted));
  std::vector<std::string> fields;
  auto const value = compile_value(state, node, fields);
  if (!value) return std::nullopt;
  if (value->literal() == nullptr) return state.fail(node.at, std::string(wanted));
  return *value->literal();
}

}  // namespace imdsgate::eql
