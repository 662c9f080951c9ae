#include "rules/compile_condition.hpp"

#include <algorithm>

#include "rules/canonical_text.hpp"
#include "rules/excerpt.hpp"

namespace imdsgate::eql {
namespace {

using Op = Comparison::Operator;
using As = Formula::Compares::As;
using Index = ConditionCompiler::Index;

Op mirrored(Op op) {
  switch (op) {
    case Op::equal: return Op::equal;
    case Op::not_equal: return Op::not_equal;
    case Op::less: return Op::greater;
    case Op::less_equal: return Op::greater_equal;
    case Op::greater: return Op::less;
    case Op::greater_equal: return Op::less_equal;
  }
  __builtin_unreachable();
}

std::string_view name_of(Op op) {
  switch (op) {
    case Op::equal: return "==";
    case Op::not_equal: return "!=";
    case Op::less: return "<";
    case Op::less_equal: return "<=";
    case Op::greater: return ">";
    case Op::greater_equal: return ">=";
  }
  __builtin_unreachable();
}

std::string_view name_of(Predicate::Operator op) {
  switch (op) {
    case Predicate::Operator::colon: return ":";
    case Predicate::Operator::like: return "like";
    case Predicate::Operator::regex: return "regex";
    case Predicate::Operator::in: return "in";
  }
  __builtin_unreachable();
}

bool is_null(Node const &node) {
  return std::holds_alternative<Null>(node.is);
}

}  // namespace

Index ConditionCompiler::condition(Node const &node, bool negated) {
  return std::visit([&](auto const &is) { return compile(node, is, negated); }, node.is);
}

Expression ConditionCompiler::take(std::uint32_t root) {
  expression_.root = root;
  return std::move(expression_);
}

Index ConditionCompiler::fail(std::size_t at, std::string text) {
  return state_.fail(at, std::move(text));
}

Index ConditionCompiler::push(Step step) {
  expression_.condition.steps.push_back(std::move(step));
  return static_cast<std::uint32_t>(expression_.condition.steps.size() - 1);
}

Index ConditionCompiler::push_group(Step::Kind kind, std::vector<std::uint32_t> operands) {
  Step step;
  step.kind = kind;
  step.operands = std::move(operands);
  return push(std::move(step));
}

Index ConditionCompiler::negation(Index operand) {
  return operand ? push_group(Step::Kind::negation, {*operand}) : operand;
}

Index ConditionCompiler::constant(bool value) {
  Step step;
  step.value = value;
  return push(std::move(step));
}

Index ConditionCompiler::term(std::vector<std::string> const &fields, TermTest test, bool negated,
                              std::string key) {
  Term term;
  for (std::string const &field : fields) term.fields.push_back(expression_.fields.add(field));
  term.negated = negated;
  term.test = std::make_shared<TermTest const>(std::move(test));
  term.key = (negated ? '-' : '+') + std::move(key);
  Step step;
  step.kind = Step::Kind::term;
  step.term = static_cast<std::uint32_t>(expression_.condition.terms.size());
  expression_.condition.terms.push_back(std::move(term));
  return push(std::move(step));
}

// Without a field it is decided here and now.
Index ConditionCompiler::formula(std::vector<std::string> const &fields, Formula formula, bool negated,
                                 std::string key) {
  if (!fields.empty()) return term(fields, std::move(formula), negated, std::move(key));
  Texts texts;
  return constant(formula.holds({}, texts));
}

Index ConditionCompiler::compile(Node const &, bool value, bool) {
  return constant(value);
}
Index ConditionCompiler::compile(Node const &, Not const &is, bool negated) {
  return negation(condition(*is.operand, !negated));
}

Index ConditionCompiler::compile(Node const &, Logical const &is, bool negated) {
  std::vector<std::uint32_t> operands;
  for (NodePtr const &operand : is.operands) {
    auto const index = condition(*operand, negated);
    if (!index) return index;
    operands.push_back(*index);
  }
  bool const all = is.op == Logical::Operator::conjunction;
  return push_group(all ? Step::Kind::all : Step::Kind::any, std::move(operands));
}

Index ConditionCompiler::compile(Node const &node, Null const &, bool) {
  return fail(node.at, "null is no condition; expected a comparison");
}
Index ConditionCompiler::compile(Node const &node, Number const &, bool) {
  return fail(node.at, "a number is no condition; expected a comparison");
}
Index ConditionCompiler::compile(Node const &node, std::string const &, bool) {
  return fail(node.at, "a string is no condition; expected a comparison");
}

// Alone it is a boolean: `x` is `x == true`.
Index ConditionCompiler::compile(Node const &node, FieldName const &, bool negated) {
  std::vector<std::string> fields;
  auto const field = compile_value(state_, node, fields);
  if (!field) return std::nullopt;
  OneOf test{PatternSet(Case::sensitive), {}, {}, false};
  test.texts.add_text("true");
  return term(fields, ValueTest(std::move(test)), negated, canonical_text(node));
}
Index ConditionCompiler::compile(Node const &node, Negative const &, bool) {
  return fail(node.at, "a number is no condition; expected a comparison");
}
Index ConditionCompiler::compile(Node const &node, Arithmetic const &, bool) {
  return fail(node.at, "a number is no condition; expected a comparison");
}

Index ConditionCompiler::compile(Node const &node, Call const &is, bool negated) {
  std::vector<std::string> fields;
  auto value = compile_value(state_, node, fields);
  if (!value) return std::nullopt;
  if (value->type != Type::boolean) {
    return fail(node.at,
                is.name + " gives " + std::string(described(value->type)) + "; expected a comparison");
  }
  if (auto const *tested = std::get_if<ValueExpression::Tested>(&value->is)) {
    return fits(node, {is.arguments.front().get(), *tested->subject}, *tested->test, fields, negated);
  }
  if (auto test = affix(*value)) return term(fields, std::move(*test), negated, canonical_text(node));
  return formula(fields, {std::move(*value), Formula::Holds{}}, negated, canonical_text(node));
}

// startsWith, endsWith and stringContains of a field and a literal, as a set of patterns has them.
std::optional<ValueTest> ConditionCompiler::affix(ValueExpression const &value) const {
  auto const *called = std::get_if<ValueExpression::Called>(&value.is);
  if (called == nullptr || called->arguments.size() != 2 || called->arguments[0].field() == nullptr)
    return std::nullopt;
  auto const *literal = called->arguments[1].literal();
  auto const *text = literal == nullptr ? nullptr : std::get_if<std::string>(literal);
  if (text == nullptr || text->empty()) return std::nullopt;
  bool const address = called->arguments[0].field()->address;
  OneOf test{PatternSet(called->folded ? Case::folded : Case::sensitive), {}, {}, address};
  if (called->function->name == "startsWith") {
    test.texts.add_prefix(*text);
  } else if (called->function->name == "endsWith") {
    test.texts.add_suffix(*text);
  } else {
    test.texts.add_part(*text);
  }
  return test;
}

Index ConditionCompiler::fits(Node const &node, Side const &left, ValueTest test,
                              std::vector<std::string> const &fields, bool negated) {
  if (left.value.field() != nullptr) return term(fields, std::move(test), negated, canonical_text(node));
  return formula(fields, {left.value, Formula::Fits{std::move(test)}}, negated, canonical_text(node));
}

Index ConditionCompiler::compile(Node const &node, Predicate const &is, bool negated) {
  if (is.op == Predicate::Operator::in) return in_list(node, is, negated);
  std::vector<std::string> fields;
  if (is_null(*is.left)) return fail(is.left->at, "null compares with == and != only");
  auto left = compile_value(state_, *is.left, fields);
  if (!left) return std::nullopt;
  if (left->type != Type::field && left->type != Type::text) {
    return fail(is.left->at, quoted(name_of(is.op)) + " compares strings only, found " +
                                 std::string(described(left->type)));
  }
  bool const address = left->field() != nullptr && left->field()->address;
  auto test = compile_patterns(state_, {is.op, name_of(is.op), is.insensitive, address}, is.right);
  if (!test) return std::nullopt;
  auto const index =
      fits(node, {is.left.get(), std::move(*left)}, std::move(*test), fields, negated != is.negated);
  return is.negated ? negation(index) : index;
}

// Literals in one test, whatever else one by one.
Index ConditionCompiler::in_list(Node const &node, Predicate const &is, bool negated) {
  bool const parity = negated != is.negated;
  if (is_null(*is.left)) return fail(is.left->at, "null compares with == and != only");
  std::vector<std::string> fields;
  auto left = compile_value(state_, *is.left, fields);
  if (!left) return std::nullopt;
  std::vector<Side> literals;
  std::vector<std::uint32_t> operands;
  for (NodePtr const &right : is.right) {
    if (is_null(*right)) return fail(right->at, "null compares with == and != only; expected a value");
    std::vector<std::string> both = fields;
    auto value = compile_value(state_, *right, both);
    if (!value) return std::nullopt;
    if (value->literal() != nullptr) {
      literals.push_back({right.get(), std::move(*value)});
      continue;
    }
    if (is.insensitive) return fail(right->at, "'in~' takes literals only; expected a string");
    auto const one =
        compared(node, {Op::equal, {is.left.get(), *left}, {right.get(), std::move(*value)}, both}, parity);
    if (!one) return one;
    operands.push_back(*one);
  }
  if (!literals.empty()) {
    auto const index = in_literals(node, is, {is.left.get(), std::move(*left)}, literals, parity);
    if (!index) return index;
    operands.push_back(*index);
  }
  auto const index =
      operands.size() == 1 ? Index(operands.front()) : push_group(Step::Kind::any, std::move(operands));
  return is.negated ? negation(index) : index;
}

Index ConditionCompiler::in_literals(Node const &node, Predicate const &is, Side const &left,
                                     std::vector<Side> const &literals, bool negated) {
  std::vector<std::string> fields;
  bool const mentioning = std::exchange(state_.mentioning, false);
  compile_value(state_, *left.node, fields);
  state_.mentioning = mentioning;
  Type const type = left.value.type;
  if (type == Type::field || type == Type::text) {
    bool const address = left.value.field() != nullptr && left.value.field()->address;
    OneOf test{PatternSet(is.insensitive ? Case::folded : Case::sensitive), {}, {}, address};
    for (Side const &literal : literals) {
      if (type == Type::text && literal.value.type != Type::text) {
        return fail(literal.at(),
                    "expected a string in the list, found " + std::string(described(literal.value.type)));
      }
      if (!add_equal(state_, test, *literal.value.literal(), literal.at())) return std::nullopt;
    }
    return fits(node, left, std::move(test), fields, negated);
  }
  std::vector<std::uint32_t> operands;
  for (Side const &literal : literals) {
    auto const one = compared(node, {Op::equal, left, literal, fields}, negated);
    if (!one) return one;
    operands.push_back(*one);
  }
  return push_group(Step::Kind::any, std::move(operands));
}

Index ConditionCompiler::compile(Node const &node, Comparison const &is, bool negated) {
  if (is_null(*is.left) || is_null(*is.right)) return with_null(node, is, negated);
  std::vector<std::string> fields;
  auto left = compile_value(state_, *is.left, fields);
  auto right = left ? compile_value(state_, *is.right, fields) : std::nullopt;
  if (!right) return std::nullopt;
  Sides sides{
      is.op, {is.left.get(), std::move(*left)}, {is.right.get(), std::move(*right)}, std::move(fields)};
  if (sides.left.value.literal() != nullptr && sides.right.value.literal() == nullptr) {
    std::swap(sides.left, sides.right);
    sides.op = mirrored(sides.op);
  }
  return compared(node, std::move(sides), negated);
}

Index ConditionCompiler::with_null(Node const &node, Comparison const &is, bool negated) {
  if (is.op != Op::equal && is.op != Op::not_equal) return fail(node.at, "null compares with == and != only");
  Node const &other = is_null(*is.left) ? *is.right : *is.left;
  if (is_null(other)) return fail(other.at, "expected a field or a function beside null");
  if (is.op == Op::not_equal) return exists(other, negated);
  return negation(exists(other, !negated));
}

Index ConditionCompiler::exists(Node const &node, bool negated) {
  std::vector<std::string> fields;
  auto value = compile_value(state_, node, fields);
  if (!value) return std::nullopt;
  std::string key = 'e' + canonical_text(node);
  if (value->field() != nullptr) return term(fields, ValueTest(Any{}), negated, std::move(key));
  return formula(fields, {std::move(*value), Formula::Exists{}}, negated, std::move(key));
}

// x != y: both are there, and they are not equal.
Index ConditionCompiler::compared(Node const &node, Sides &&sides, bool negated) {
  if (sides.op == Op::equal) return equal(sides, negated);
  if (sides.op != Op::not_equal) return order(node, sides, negated);
  std::vector<std::uint32_t> operands;
  bool const mentioning = std::exchange(state_.mentioning, false);
  for (Side const *side : {&sides.left, &sides.right}) {
    auto const *literal = side->value.literal();
    if (literal != nullptr && !std::holds_alternative<std::monostate>(*literal)) continue;
    auto const there = exists(*side->node, negated);
    if (there) operands.push_back(*there);
  }
  state_.mentioning = mentioning;
  auto const different = negation(equal(sides, !negated));
  if (!different) return different;
  operands.push_back(*different);
  return push_group(Step::Kind::all, std::move(operands));
}

Index ConditionCompiler::equal(Sides const &sides, bool negated) {
  auto const &[op, left, right, fields] = sides;
  std::string key = '=' + canonical_text(*left.node) + canonical_text(*right.node);
  if (left.value.field() != nullptr && right.value.literal() != nullptr) {
    OneOf test{PatternSet(Case::sensitive), {}, {}, left.value.field()->address};
    if (!add_equal(state_, test, *right.value.literal(), right.at())) return std::nullopt;
    return term(fields, ValueTest(std::move(test)), negated, std::move(key));
  }
  auto const as = comparable(sides);
  if (!as) return std::nullopt;
  return formula(fields, {left.value, Formula::Compares{Op::equal, *as, right.value}}, negated,
                 std::move(key));
}

Index ConditionCompiler::order(Node const &node, Sides const &sides, bool negated) {
  auto const &[op, left, right, fields] = sides;
  auto const *literal = right.value.literal();
  if (left.value.field() == nullptr || literal == nullptr) {
    auto const as = comparable(sides);
    if (!as) return std::nullopt;
    if (*as == As::booleans)
      return fail(right.at(), "expected a number or a string beside " + quoted(name_of(op)));
    return formula(fields, {left.value, Formula::Compares{op, *as, right.value}}, negated,
                   canonical_text(node));
  }
  std::string key = canonical_text(node);
  if (auto const *number = std::get_if<Number>(literal)) {
    if (left.value.field()->address)
      return fail(right.at(), "expected an IP address on a field of addresses");
    return term(fields, ValueTest(Bound{op, *number}), negated, std::move(key));
  }
  auto const *text = std::get_if<std::string>(literal);
  if (text == nullptr && std::holds_alternative<bool>(*literal)) {
    return fail(right.at(), "expected a number or a string beside " + quoted(name_of(op)));
  }
  if (text == nullptr) return constant(false);  // a computed null
  if (!left.value.field()->address) return term(fields, ValueTest(Bound{op, *text}), negated, std::move(key));
  auto const limit = compile_address(state_, *text, right.at());
  return limit ? term(fields, ValueTest(Bound{op, *limit}), negated, std::move(key)) : std::nullopt;
}

// How two values compare; a field takes the type of the other side.
std::optional<As> ConditionCompiler::comparable(Sides const &sides) {
  Type const left = sides.left.value.type, right = sides.right.value.type;
  if (left == Type::field && right == Type::field) {
    bool const address = sides.left.value.field()->address || sides.right.value.field()->address;
    return address ? As::addresses : As::fields;
  }
  if (left != right && left != Type::field && right != Type::field) {
    return state_.fail(sides.right.at(), "expected " + std::string(described(left)) + " beside " +
                                             quoted(name_of(sides.op)) + ", found " +
                                             std::string(described(right)));
  }
  switch (left == Type::field ? right : left) {
    case Type::boolean: return As::booleans;
    case Type::number: return As::numbers;
    case Type::text:
    case Type::field: return As::texts;
  }
  __builtin_unreachable();
}

}  // namespace imdsgate::eql
