// The part of a condition that can be looked up instead of evaluated, and read by whoever checks a policy.
#pragma once

#include <vector>

#include "rules/ast.hpp"
#include "rules/eql.hpp"

namespace imdsgate::eql {

struct Demands {
  std::vector<Demand> demands;  // sorted by field, each field once
  bool complete = false;        // the condition holds whenever each of them does
};

// Necessary for the condition in every View: `x == "a"`, `x : ("a", "b*")`, `x in (…)`, `x like "…"` and what
// follows from them by `and` and `or`. A negation, a function, a comparison of two fields demands nothing. Of
// two demands on one field under one `and` one is kept.
Demands demands_of(Node const &condition);

}  // namespace imdsgate::eql
