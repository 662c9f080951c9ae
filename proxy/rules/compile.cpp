// From the syntax tree to what the matcher runs: fields and literals are resolved, what we do not have yet is
// refused by name, and every term learns whether it is negated.
#include <algorithm>
#include <map>
#include <optional>

#include "rules/excerpt.hpp"
#include "rules/matcher.hpp"
#include "rules/parser.hpp"

namespace imdsgate::eql {
namespace {

using Index = std::optional<std::uint32_t>;  // nullopt: failed
using Op = Comparison::Operator;

bool is_address_field(std::string_view name) {
  return name == "ip" || name.ends_with(".ip");
}

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

class Compiler {
 public:
  // `negated` is the parity of the negations above the node.
  Index condition(Node const &node, bool negated) {
    return std::visit([&](auto const &is) { return compile(node, is, negated); }, node.is);
  }

  Expression take(std::uint32_t root) {
    expression_.root = root;
    return std::move(expression_);
  }
  std::map<std::string, bool> const &fields() const { return fields_; }  // name → named without `?` somewhere
  Failure const &failure() const { return *failure_; }

 private:
  Index fail(Node const &node, std::string text) {
    if (!failure_) failure_ = Failure{node.at, std::move(text)};
    return std::nullopt;
  }

  Index push(Step step) {
    expression_.steps.push_back(std::move(step));
    return static_cast<std::uint32_t>(expression_.steps.size() - 1);
  }
  Index push_group(Step::Kind kind, std::vector<std::uint32_t> operands) {
    Step step;
    step.kind = kind;
    step.operands = std::move(operands);
    return push(std::move(step));
  }
  Index negation(Index operand) { return operand ? push_group(Step::Kind::negation, {*operand}) : operand; }
  Index constant(bool value) {
    Step step;
    step.value = value;
    return push(std::move(step));
  }

  Index term(FieldName const &field, ValueTest test, bool negated) {
    fields_[field.name] = fields_[field.name] || !field.optional;
    Step step;
    step.kind = Step::Kind::term;
    step.term = static_cast<std::uint32_t>(expression_.terms.size());
    expression_.terms.push_back({field.name, field_hash(field.name), negated, std::move(test)});
    return push(std::move(step));
  }

  // What is a condition.
  Index compile(Node const &, bool value, bool) { return constant(value); }
  Index compile(Node const &, Not const &is, bool negated) {
    return negation(condition(*is.operand, !negated));
  }
  Index compile(Node const &, Logical const &is, bool negated) {
    std::vector<std::uint32_t> operands;
    for (NodePtr const &operand : is.operands) {
      auto const index = condition(*operand, negated);
      if (!index) return index;
      operands.push_back(*index);
    }
    bool const all = is.op == Logical::Operator::conjunction;
    return push_group(all ? Step::Kind::all : Step::Kind::any, std::move(operands));
  }
  Index compile(Node const &node, Comparison const &is, bool negated);
  Index compile(Node const &node, Predicate const &is, bool negated);

  // What is none.
  Index compile(Node const &node, Null const &, bool) {
    return fail(node, "null is no condition; expected a comparison");
  }
  Index compile(Node const &node, Number const &, bool) {
    return fail(node, "a number is no condition; expected a comparison");
  }
  Index compile(Node const &node, std::string const &, bool) {
    return fail(node, "a string is no condition; expected a comparison");
  }
  Index compile(Node const &node, FieldName const &is, bool) {
    return fail(node,
                "a field is no condition; expected '" + is.name + " == true' or '" + is.name + " != null'");
  }
  Index compile(Node const &node, Negative const &, bool) { return unsupported(node); }
  Index compile(Node const &node, Arithmetic const &, bool) { return unsupported(node); }
  Index compile(Node const &node, Call const &, bool) { return unsupported(node); }

  Index unsupported(Node const &node) {
    if (auto const *call = std::get_if<Call>(&node.is)) {
      return fail(node, "functions are not supported yet: " + call->name + (call->insensitive ? "~" : ""));
    }
    return fail(node, "arithmetic is not supported yet");
  }

  // The field a term is about; a failure when the node is anything else.
  FieldName const *field_of(Node const &node, std::string_view op) {
    if (auto const *field = std::get_if<FieldName>(&node.is)) return field;
    if (std::holds_alternative<Call>(node.is) || std::holds_alternative<Arithmetic>(node.is) ||
        std::holds_alternative<Negative>(node.is)) {
      unsupported(node);
    } else {
      fail(node, "expected a field on one side of " + quoted(op));
    }
    return nullptr;
  }

  bool add_equal(OneOf &test, Node const &node, std::string_view op);
  bool add_pattern(OneOf &test, Node const &node, Predicate const &is);
  std::optional<Address> address(Node const &node, std::string const &text);
  Index order(FieldName const &field, Node const &literal, Op op, bool negated);

  Expression expression_;
  std::map<std::string, bool> fields_;
  std::optional<Failure> failure_;
};

std::optional<Address> Compiler::address(Node const &node, std::string const &text) {
  auto const parsed = Address::parse(text);
  if (parsed) return *parsed;
  fail(node, text.find('/') == text.npos
                 ? "expected an IP address on a field of addresses"
                 : "expected one IP address; networks need cidrMatch, which is not supported yet");
  return std::nullopt;
}

bool is_literal(Node const &node) {
  return std::holds_alternative<Null>(node.is) || std::holds_alternative<bool>(node.is) ||
         std::holds_alternative<Number>(node.is) || std::holds_alternative<std::string>(node.is);
}

bool Compiler::add_equal(OneOf &test, Node const &node, std::string_view op) {
  if (auto const *text = std::get_if<std::string>(&node.is)) {
    if (!test.address_field) {
      test.texts.add_text(*text);
      return true;
    }
    auto const parsed = address(node, *text);
    if (parsed) test.addresses.push_back(*parsed);
    return parsed.has_value();
  }
  if (auto const *number = std::get_if<Number>(&node.is)) {
    test.numbers.push_back(*number);
  } else if (auto const *truth = std::get_if<bool>(&node.is)) {
    test.texts.add_text(*truth ? "true" : "false");
  } else if (std::holds_alternative<Null>(node.is)) {
    fail(node, "null compares with == and != only; expected a value");
  } else if (std::holds_alternative<FieldName>(node.is)) {
    fail(node, "two fields cannot be compared; expected a value beside " + quoted(op));
  } else {
    field_of(node, op);
  }
  if (!failure_ && test.address_field) fail(node, "expected an IP address on a field of addresses");
  return !failure_;
}

bool Compiler::add_pattern(OneOf &test, Node const &node, Predicate const &is) {
  auto const *text = std::get_if<std::string>(&node.is);
  if (!text) {
    if (std::holds_alternative<FieldName>(node.is)) {
      fail(node, "two fields cannot be compared; expected a string");
    } else if (is_literal(node)) {
      fail(node, quoted(name_of(is.op)) + " compares strings only; expected a string");
    } else {
      field_of(node, name_of(is.op));
    }
    return false;
  }
  if (test.address_field && text->find_first_of("*?") == text->npos)
    return add_equal(test, node, name_of(is.op));
  test.texts.add_pattern(*text);
  return true;
}

Index Compiler::compile(Node const &node, Predicate const &is, bool negated) {
  if (is.op == Predicate::Operator::regex) return fail(node, "regular expressions are not supported yet");
  FieldName const *field = field_of(*is.left, name_of(is.op));
  if (!field) return std::nullopt;
  OneOf test{
      PatternSet(is.insensitive ? Case::folded : Case::sensitive), {}, {}, is_address_field(field->name)};
  for (NodePtr const &right : is.right) {
    bool const added =
        is.op == Predicate::Operator::in ? add_equal(test, *right, "in") : add_pattern(test, *right, is);
    if (!added) return std::nullopt;
  }
  auto const index = term(*field, std::move(test), negated != is.negated);
  return is.negated ? negation(index) : index;
}

Index Compiler::compile(Node const &node, Comparison const &is, bool negated) {
  bool const swapped = is_literal(*is.left);
  Node const &subject = swapped ? *is.right : *is.left;
  Node const &object = swapped ? *is.left : *is.right;
  Op const op = swapped ? mirrored(is.op) : is.op;
  FieldName const *field = field_of(subject, name_of(is.op));
  if (!field) return std::nullopt;
  if (std::holds_alternative<Null>(object.is)) {
    if (op == Op::not_equal) return term(*field, Any{}, negated);
    if (op == Op::equal) return negation(term(*field, Any{}, !negated));
    return fail(node, "null compares with == and != only");
  }
  if (op != Op::equal && op != Op::not_equal) return order(*field, object, op, negated);
  OneOf test{PatternSet(Case::sensitive), {}, {}, is_address_field(field->name)};
  if (!add_equal(test, object, name_of(is.op))) return std::nullopt;
  if (op == Op::equal) return term(*field, std::move(test), negated);
  auto const exists = term(*field, Any{}, negated);
  auto const different = negation(term(*field, std::move(test), !negated));
  return push_group(Step::Kind::all, {*exists, *different});
}

Index Compiler::order(FieldName const &field, Node const &literal, Op op, bool negated) {
  if (auto const *number = std::get_if<Number>(&literal.is)) return term(field, Bound{op, *number}, negated);
  auto const *text = std::get_if<std::string>(&literal.is);
  if (!text) {
    if (is_literal(literal))
      return fail(literal, "expected a number or a string beside " + quoted(name_of(op)));
    if (std::holds_alternative<FieldName>(literal.is)) {
      return fail(literal, "two fields cannot be compared; expected a value");
    }
    field_of(literal, name_of(op));
    return std::nullopt;
  }
  if (!is_address_field(field.name)) return term(field, Bound{op, *text}, negated);
  auto const limit = address(literal, *text);
  return limit ? term(field, Bound{op, *limit}, negated) : std::nullopt;
}

std::variant<Query, Problem> finish(std::string category, Node const &where, std::string_view text,
                                    Origin const &origin) {
  Compiler compiler;
  auto const root = compiler.condition(where, false);
  if (!root) return problem_at(compiler.failure(), text, origin);
  Query query;
  query.category = std::move(category);
  for (auto const &[name, required] : compiler.fields()) {
    query.fields.push_back(name);
    if (!required) query.optional_fields.push_back(name);
  }
  query.where = std::make_shared<Expression const>(compiler.take(*root));
  return query;
}

}  // namespace

std::variant<Query, Problem> compile_query(std::string_view text, Origin const &origin) {
  auto parsed = parse_event_query(text);
  if (auto const *failure = std::get_if<Failure>(&parsed)) return problem_at(*failure, text, origin);
  auto &query = std::get<EventQuery>(parsed);
  return finish(std::move(query.category), *query.where, text, origin);
}

std::variant<Query, Problem> compile_expression(std::string_view text, Origin const &origin) {
  auto parsed = parse_expression(text);
  if (auto const *failure = std::get_if<Failure>(&parsed)) return problem_at(*failure, text, origin);
  return finish("any", *std::get<NodePtr>(parsed), text, origin);
}

}  // namespace imdsgate::eql
