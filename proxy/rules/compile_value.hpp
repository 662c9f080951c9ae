// Parts of the compiler: value expressions and tests from the syntax tree, types checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/ast.hpp"
#include "rules/formula.hpp"

namespace imdsgate::eql {

// What the compilation of one text has come to. Keeps the first failure.
struct Compilation {
  std::string_view text;
  std::optional<Failure> failure;
  std::vector<std::pair<FieldName, std::size_t>> mentions;  // every field and its byte offset
  bool mentioning = true;                                   // off while a node is compiled once more

  std::nullopt_t fail(std::size_t at, std::string what) {
    if (!failure) failure = Failure{at, std::move(what)};
    return std::nullopt;
  }
};

// ECS's fields of type ip.
bool is_address_field(std::string_view name);

// Fields are added to `fields`, each once: their places there are Chosen's. What names no field comes as a
// literal.
std::optional<ValueExpression> compile_value(Compilation &state, Node const &node,
                                             std::vector<std::string> &fields);

// The value of a node that names no field; a failure that says `wanted` otherwise.
std::optional<ValueExpression::Literal> compile_literal(Compilation &state, Node const &node,
                                                        std::string_view wanted);

// One pattern or more, as `:`, like or regex take them. `name` is the operator or function, for messages.
struct PatternUse {
  Predicate::Operator op;
  std::string_view name;
  bool folded = false;
  bool address = false;  // the subject is a field of addresses
};
std::optional<ValueTest> compile_patterns(Compilation &state, PatternUse const &use,
                                          std::span<NodePtr const> patterns);
std::optional<ValueTest> compile_networks(Compilation &state, std::span<NodePtr const> networks);

// Adds what == compares with; `at` is where a problem points to.
bool add_equal(Compilation &state, OneOf &test, ValueExpression::Literal const &literal, std::size_t at);
std::optional<Address> compile_address(Compilation &state, std::string const &text, std::size_t at);

std::string_view described(Type type);  // "a number"

}  // namespace imdsgate::eql
