// EQL's text to tokens. Comments and white space are dropped, strings and names decoded.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rules/ast.hpp"

namespace imdsgate::eql {

struct Token {
  enum class Kind {
    word,    // a name or a keyword; text as written
    name,    // a `name`; text decoded
    string,  // text decoded
    number,
    symbol,  // text is the operator or the bracket
    end,
  };
  Kind kind = Kind::end;
  std::size_t at = 0;   // byte offset
  std::size_t end = 0;  // one past its last byte
  std::string text;
  Number number;
  bool least = false;  // 9223372036854775808, of which there is only the negative: `number` is a real
  bool tilde = false;  // a word with ~ right behind it: like~

  bool is_word(std::string_view word) const { return kind == Kind::word && text == word && !tilde; }
  bool is_symbol(std::string_view symbol) const { return kind == Kind::symbol && text == symbol; }
};

// All tokens, an `end` last. Never throws, on any bytes.
std::variant<std::vector<Token>, Failure> tokenize(std::string_view text);

// Where in the text byte `index` of a string's value stands. `at`: where its token begins.
std::size_t offset_in_string(std::string_view text, std::size_t at, std::size_t index);

}  // namespace imdsgate::eql
