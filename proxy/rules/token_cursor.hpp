// A parser's place in the tokens of a query, and the first thing that was wrong with them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/ast.hpp"
#include "rules/lexer.hpp"

namespace imdsgate::eql {

class TokenCursor {
 public:
  explicit TokenCursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}  // an `end` last

  Token const &now() const { return tokens_[at_]; }
  Token const &ahead(std::size_t count) const;  // the `end` beyond the end
  Token const &take();                          // never moves beyond the end
  bool eat(std::string_view symbol);

  // Keeps the first problem: what follows it is guesswork. Always nullptr, for `return fail(…)`.
  NodePtr fail(std::size_t at, std::string text);
  NodePtr expected(std::string_view what);
  std::optional<Failure> const &failure() const { return failure_; }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::optional<Failure> failure_;
};

std::string described(Token const &token);  // for a message
bool is_keyword(std::string_view word);

template <class Value>
NodePtr make_node(std::size_t at, Value value) {
  auto node = std::make_unique<Node>();
  node->at = at;
  node->is = std::move(value);
  return node;
}

}  // namespace imdsgate::eql
