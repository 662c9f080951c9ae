// From the syntax tree to what the matcher runs: fields and literals are resolved, what we do not have yet is
// refused by name, and every term learns whether it is negated.
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "rules/canonical_text.hpp"
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
  // Every mention and its byte offset.
  std::vector<std::pair<FieldName, std::size_t>> &mentions() { return mentions_; }
  Failure const &failure() const { return *failure_; }

 private:
  Index fail(Node const &node, std::string text) {
    if (!failure_) failure_ = Failure{node.at, std::move(text)};
    return std::nullopt;
  }

  Index push(Step step) {
    expression_.condition.steps.push_back(std::move(step));
    return static_cast<std::uint32_t>(expression_.condition.steps.size() - 1);
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

  Index term(FieldName const &field, ValueTest test, bool negated, std::string key) {
    Step step;
    step.kind = Step::Kind::term;
    step.term = static_cast<std::uint32_t>(expression_.condition.terms.size());
    Term term;
    term.fields.push_back(expression_.fields.add(field.name));
    term.negated = negated;
    term.test = std::make_shared<TermTest const>(std::move(test));
    term.key = (negated ? '-' : '+') + std::move(key);
    expression_.condition.terms.push_back(std::move(term));
    return push(std::move(step));
  }

  Index exists(FieldName const &field, bool negated) { return term(field, Any{}, negated, "e" + field.name); }

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
    if (auto const *field = std::get_if<FieldName>(&node.is)) {
      mentions_.emplace_back(*field, node.at);
      return field;
    }
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
  Index order(Node const &node, FieldName const &field, Node const &literal, Op op, bool negated);

  Expression expression_;
  std::vector<std::pair<FieldName, std::size_t>> mentions_;
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
  auto const index = term(*field, std::move(test), negated != is.negated, canonical_text(node));
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
    if (op == Op::not_equal) return exists(*field, negated);
    if (op == Op::equal) return negation(exists(*field, !negated));
    return fail(node, "null compares with == and != only");
  }
  if (op != Op::equal && op != Op::not_equal) return order(node, *field, object, op, negated);
  OneOf test{PatternSet(Case::sensitive), {}, {}, is_address_field(field->name)};
  if (!add_equal(test, object, name_of(is.op))) return std::nullopt;
  std::string const key = "=" + canonical_text(subject) + canonical_text(object);
  if (op == Op::equal) return term(*field, std::move(test), negated, key);
  auto const present = exists(*field, negated);
  auto const different = negation(term(*field, std::move(test), !negated, key));
  return push_group(Step::Kind::all, {*present, *different});
}

Index Compiler::order(Node const &node, FieldName const &field, Node const &literal, Op op, bool negated) {
  if (auto const *number = std::get_if<Number>(&literal.is))
    return term(field, Bound{op, *number}, negated, canonical_text(node));
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
  if (!is_address_field(field.name)) return term(field, Bound{op, *text}, negated, canonical_text(node));
  auto const limit = address(literal, *text);
  return limit ? term(field, Bound{op, *limit}, negated, canonical_text(node)) : std::nullopt;
}

std::variant<Query, Failure> finish(std::string category, Node const &where, std::string_view text,
                                    Origin const &origin) {
  Compiler compiler;
  auto const root = compiler.condition(where, false);
  if (!root) return compiler.failure();
  Query query;
  query.category = std::move(category);
  std::map<std::string, bool> fields;  // name → named without `?` somewhere
  for (auto const &[field, at] : compiler.mentions()) {
    query.named.push_back({field.name, field.optional, place_at(at, text, origin)});
    fields[field.name] = fields[field.name] || !field.optional;
  }
  for (auto const &[name, required] : fields) {
    query.fields.push_back(name);
    if (!required) query.optional_fields.push_back(name);
  }
  query.where = std::make_shared<Expression const>(compiler.take(*root));
  return query;
}

std::variant<Sequence::Stage, Failure> finish(StageText &&stage, std::vector<NodePtr> const &shared_keys,
                                              std::string_view text, Origin const &origin) {
  auto compiled = finish(std::move(stage.query.category), *stage.query.where, text, origin);
  if (auto *failure = std::get_if<Failure>(&compiled)) return std::move(*failure);
  Sequence::Stage result{std::get<Query>(std::move(compiled)), {}};
  for (std::vector<NodePtr> const *keys :
       {&shared_keys, static_cast<std::vector<NodePtr> const *>(&stage.keys)}) {
    for (NodePtr const &key : *keys) {
      auto const &field = std::get<FieldName>(key->is);
      result.keys.push_back({field.name, field.optional, place_at(key->at, text, origin)});
    }
  }
  return result;
}

std::variant<Sequence, Failure> finish(SequenceQuery &&parsed, std::string_view text, Origin const &origin) {
  Sequence sequence;
  sequence.maxspan = parsed.maxspan;
  for (StageText &stage : parsed.stages) {
    int const runs = stage.runs;
    auto compiled = finish(std::move(stage), parsed.keys, text, origin);
    if (auto *failure = std::get_if<Failure>(&compiled)) return std::move(*failure);
    sequence.stages.insert(sequence.stages.end(), static_cast<std::size_t>(runs),
                           std::get<Sequence::Stage>(std::move(compiled)));
  }
  if (parsed.until) {
    auto compiled = finish(std::move(*parsed.until), parsed.keys, text, origin);
    if (auto *failure = std::get_if<Failure>(&compiled)) return std::move(*failure);
    sequence.until = std::get<Sequence::Stage>(std::move(compiled));
  }
  return sequence;
}

// A failure becomes a problem with its place.
template <class Result, class Compiled>
std::variant<Result, Problem> placed(Compiled &&compiled, std::string_view text, Origin const &origin) {
  if (auto const *failure = std::get_if<Failure>(&compiled)) return problem_at(*failure, text, origin);
  return Result(std::get<0>(std::move(compiled)));
}

}  // namespace

std::variant<Query, Problem> compile_query(std::string_view text, Origin const &origin) {
  auto parsed = parse_event_query(text);
  if (auto const *failure = std::get_if<Failure>(&parsed)) return problem_at(*failure, text, origin);
  auto &query = std::get<EventQuery>(parsed);
  return placed<Query>(finish(std::move(query.category), *query.where, text, origin), text, origin);
}

std::variant<RuleQuery, Problem> compile_rule_query(std::string_view text, Origin const &origin) {
  auto parsed = parse_query(text);
  if (auto const *failure = std::get_if<Failure>(&parsed)) return problem_at(*failure, text, origin);
  if (auto *query = std::get_if<EventQuery>(&parsed)) {
    return placed<RuleQuery>(finish(std::move(query->category), *query->where, text, origin), text, origin);
  }
  return placed<RuleQuery>(finish(std::get<SequenceQuery>(std::move(parsed)), text, origin), text, origin);
}

std::variant<Query, Problem> compile_expression(std::string_view text, Origin const &origin) {
  auto parsed = parse_expression(text);
  if (auto const *failure = std::get_if<Failure>(&parsed)) return problem_at(*failure, text, origin);
  return placed<Query>(finish("any", *std::get<NodePtr>(parsed), text, origin), text, origin);
}

// A sequence's shared keys stand in every stage, but once in the text.
std::vector<NamedField> query_fields(RuleQuery const &query) {
  if (auto const *event = std::get_if<Query>(&query)) return event->named;
  auto const &sequence = std::get<Sequence>(query);
  std::vector<NamedField> fields;
  auto const add = [&](Sequence::Stage const &stage) {
    fields.insert(fields.end(), stage.keys.begin(), stage.keys.end());
    fields.insert(fields.end(), stage.query.named.begin(), stage.query.named.end());
  };
  for (auto const &stage : sequence.stages) add(stage);
  if (sequence.until) add(*sequence.until);
  auto const place = [](NamedField const &field) { return std::tie(field.place.line, field.place.column); };
  std::stable_sort(fields.begin(), fields.end(),
                   [&](NamedField const &a, NamedField const &b) { return place(a) < place(b); });
  auto const same = [&](NamedField const &a, NamedField const &b) {
    return place(a) == place(b) && a.name == b.name;
  };
  fields.erase(std::unique(fields.begin(), fields.end(), same), fields.end());
  return fields;
}

}  // namespace imdsgate::eql
