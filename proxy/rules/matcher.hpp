// A compiled condition and how it is decided.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rules/eql.hpp"
#include "rules/formula.hpp"
#include "rules/row.hpp"
#include "rules/value_test.hpp"

namespace imdsgate::eql {

// What a term asks of one choice of values, one of each of its fields.
using TermTest = std::variant<ValueTest, Formula>;

// Its fields held against a test. `negated`: an odd number of negations stands above it.
struct Term {
  std::vector<std::uint32_t> fields;  // numbers in the table; one with a ValueTest; one with a ValueTest
  bool negated = false;
  std::shared_ptr<TermTest const> test;
  std::string key;  // equal for terms that ask the same
};

// A node of the condition. Children come before their parents in Condition::steps.
struct Step {
  enum class Kind { constant, all, any, negation, term } kind = Kind::constant;
  bool value = false;                   // constant
  std::vector<std::uint32_t> operands;  // all, any, negation: indices of steps
  std::uint32_t term = 0;               // term: index into terms
};

// One condition, or, in an engine, those of all rules.
struct Condition {
  std::vector<Step> steps;
  std::vector<Term> terms;
};

struct Expression {
  FieldTable fields;
  Condition condition;
  std::uint32_t root = 0;
};

// In this order, so that `and` is the least, `or` the greatest and `not` the mirror image (Kleene's logic).
enum class Truth : std::uint8_t { no, unknown, yes };

// Decides the steps of one condition, event by event. With `remember`, each term is decided at most once an
// event; always only when asked for. Keeps its memory.
class Evaluator {
 public:
  enum class Memory { none, remember };
  // The condition stays as it is from the first event on.
  Evaluator(Condition const &condition, View view, Memory memory)
      : condition_(condition), view_(view), memory_(memory) {}

  void begin(Row const &row);  // borrowed until the next one
  Truth of(std::uint32_t step);

 private:
  struct Known {
    std::uint32_t event = 0;
    Truth truth = Truth::no;
  };
  Truth term(std::uint32_t index);
  Truth decide(Term const &term);
  Truth decide_formula(Term const &term, Formula const &formula);
  bool any_choice(Formula const &formula, bool only_proven);
  bool next_choice(bool only_proven);
  std::uint32_t counted(std::uint32_t at, bool only_proven) const;
  Truth extreme(Step const &step, Truth final);

  Condition const &condition_;
  View view_;
  Memory memory_;
  Row const *row_ = nullptr;
  std::uint32_t event_ = 0;
  std::vector<Known> known_;  // by term
  // While a formula is decided, by its fields: the cells, the values chosen and their texts.
  std::vector<Row::Cell const *> cells_;
  std::vector<std::uint32_t> at_;
  std::vector<std::string_view> chosen_;
  Texts texts_;
};

}  // namespace imdsgate::eql
