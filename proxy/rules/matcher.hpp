// A compiled condition and how it is decided.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/eql.hpp"
#include "rules/value_test.hpp"

namespace imdsgate::eql {

// One field held against one test. `negated`: an odd number of negations stands above it.
struct Term {
  std::string field;
  std::uint64_t hash = 0;
  bool negated = false;
  ValueTest test;
};

// A node of the condition. Children come before their parents in Expression::steps.
struct Step {
  enum class Kind { constant, all, any, negation, term } kind = Kind::constant;
  bool value = false;                   // constant
  std::vector<std::uint32_t> operands;  // all, any, negation: indices of steps
  std::uint32_t term = 0;               // term: index into terms
};

struct Expression {
  std::vector<Step> steps;
  std::vector<Term> terms;
  std::uint32_t root = 0;
};

}  // namespace imdsgate::eql
