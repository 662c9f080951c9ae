// Expressions, by precedence climbing.
// Binding, weakest first: or, and, not, comparisons and predicates, + -, * / %, unary minus.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "rules/ast.hpp"
#include "rules/token_cursor.hpp"

namespace imdsgate::eql {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenCursor &tokens) : tokens_(tokens) {}

  NodePtr condition();  // nullptr: the cursor has a failure. Stops at what continues no expression
  NodePtr key();        // a field, or ?field

 private:
  enum Binding { kOr = 1, kAnd, kCompare, kAdd, kMultiply, kUnary };
  struct Infix;

  NodePtr expression(Binding least);
  std::optional<Infix> infix_operator();
  std::optional<Infix> infix_word();
  NodePtr combine(NodePtr left, Infix const &infix);
  NodePtr unchained(NodePtr node);
  NodePtr logical(NodePtr left, Logical::Operator op, Binding binding);
  NodePtr predicate(NodePtr left, Predicate::Operator op, Infix const &infix);
  bool arguments(std::vector<NodePtr> &into, std::string_view what);
  NodePtr prefix();
  NodePtr parenthesised();
  NodePtr sign();
  NodePtr word();
  NodePtr call();
  NodePtr field(bool optional);
  void check_keyword_case();

  TokenCursor &tokens_;
  int depth_ = 0;
  int arithmetic_ = 0;
};

}  // namespace imdsgate::eql
