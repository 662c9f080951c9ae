#include "rules/token_cursor.hpp"

#include <algorithm>

#include "rules/excerpt.hpp"

namespace imdsgate::eql {
namespace {

constexpr std::string_view kKeywords[] = {"and",      "any",  "by",    "false", "in",  "join",  "like",
                                          "maxspan",  "not",  "null",  "of",    "or",  "regex", "sample",
                                          "sequence", "true", "until", "where", "with"};

}  // namespace

std::string described(Token const &token) {
  switch (token.kind) {
    case Token::Kind::word: return quoted(token.text + (token.tilde ? "~" : ""));
    case Token::Kind::name: return "the field `" + token.text + "`";
    case Token::Kind::string: return "a string";
    case Token::Kind::number: return "the number " + token.text;
    case Token::Kind::symbol: return quoted(token.text);
    case Token::Kind::end: return "the end";
  }
  __builtin_unreachable();
}

bool is_keyword(std::string_view word) {
  return std::find(std::begin(kKeywords), std::end(kKeywords), word) != std::end(kKeywords);
}

Token const &TokenCursor::ahead(std::size_t count) const {
  return tokens_[std::min(at_ + count, tokens_.size() - 1)];
}

Token const &TokenCursor::take() {
  return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_];
}

bool TokenCursor::eat(std::string_view symbol) {
  if (!now().is_symbol(symbol)) return false;
  take();
  return true;
}

NodePtr TokenCursor::fail(std::size_t at, std::string text) {
  if (!failure_) failure_ = Failure{at, std::move(text)};
  return nullptr;
}

NodePtr TokenCursor::expected(std::string_view what) {
  return fail(now().at, "expected " + std::string(what) + ", found " + described(now()));
}

}  // namespace imdsgate::eql
