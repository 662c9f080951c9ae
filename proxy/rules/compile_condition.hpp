// From the syntax tree to what the matcher runs: every term learns its fields, its test, and whether it is
// negated.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rules/compile_value.hpp"
#include "rules/matcher.hpp"

namespace imdsgate::eql {

class ConditionCompiler {
 public:
  using Index = std::optional<std::uint32_t>;  // of a step; nullopt: the state has a failure

  explicit ConditionCompiler(Compilation &state) : state_(state) {}

  // `negated` is the parity of the negations above the node.
  Index condition(Node const &node, bool negated);
  Expression take(std::uint32_t root);

 private:
  // A value of a comparison, and where it stands in the text.
  struct Side {
    Node const *node;
    ValueExpression value;
    std::size_t at() const { return node->at; }
  };
  struct Sides {
    Comparison::Operator op;
    Side left, right;
    std::vector<std::string> fields;
  };

  Index compile(Node const &node, bool value, bool negated);
  Index compile(Node const &node, Not const &is, bool negated);
  Index compile(Node const &node, Logical const &is, bool negated);
  Index compile(Node const &node, Comparison const &is, bool negated);
  Index compile(Node const &node, Predicate const &is, bool negated);
  Index compile(Node const &node, Call const &is, bool negated);
  Index compile(Node const &node, Null const &is, bool negated);
  Index compile(Node const &node, Number const &is, bool negated);
  Index compile(Node const &node, std::string const &is, bool negated);
  Index compile(Node const &node, FieldName const &is, bool negated);
  Index compile(Node const &node, Negative const &is, bool negated);
  Index compile(Node const &node, Arithmetic const &is, bool negated);

  Index with_null(Node const &node, Comparison const &is, bool negated);
  Index exists(Node const &node, bool negated);
  Index compared(Node const &node, Sides &&sides, bool negated);
  Index equal(Sides const &sides, bool negated);
  Index order(Node const &node, Sides const &sides, bool negated);
  std::optional<Formula::Compares::As> comparable(Sides const &sides);
  Index in_list(Node const &node, Predicate const &is, bool negated);
  Index in_literals(Node const &node, Predicate const &is, Side const &left,
                    std::vector<Side> const &literals, bool negated);
  Index fits(Node const &node, Side const &left, ValueTest test, std::vector<std::string> const &fields,
             bool negated);
  std::optional<ValueTest> affix(ValueExpression const &value) const;

  Index fail(std::size_t at, std::string text);
  Index push(Step step);
  Index push_group(Step::Kind kind, std::vector<std::uint32_t> operands);
  Index negation(Index operand);
  Index constant(bool value);
  Index term(std::vector<std::string> const &fields, TermTest test, bool negated, std::string key);
  Index formula(std::vector<std::string> const &fields, Formula formula, bool negated, std::string key);

  Compilation &state_;
  Expression expression_;
};

}  // namespace imdsgate::eql
