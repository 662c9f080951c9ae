#include "rules/lexer.hpp"

#include <charconv>
#include <optional>

#include "model/utf8.hpp"

namespace imdsgate::eql {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool starts_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '@';
}
bool in_word(char c) {
  return starts_word(c) || is_digit(c);
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::variant<std::vector<Token>, Failure> run() {
    while (skip_blank() && at_ < text_.size()) {
      if (!next_token()) break;
    }
    if (failure_) return *failure_;
    Token end;
    end.at = end.end = tokens_.empty() ? text_.size() : tokens_.back().end;
    tokens_.push_back(end);
    return std::move(tokens_);
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool looking_at(std::string_view what) const { return text_.substr(at_).starts_with(what); }

  bool fail(std::size_t at, std::string text) {
    failure_ = Failure{at, std::move(text)};
    return false;
  }

  bool skip_blank() {
    while (at_ < text_.size()) {
      char const c = text_[at_];
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        ++at_;
      } else if (looking_at("//")) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (looking_at("/*")) {
        if (!skip_comment()) return false;
      } else {
        break;
      }
    }
    return true;
  }

  // Up to the first end: rules have comments such as /* /tmp/* */.
  bool skip_comment() {
    std::size_t const end = text_.find("*/", at_ + 2);
    if (end == text_.npos) return fail(at_, "this comment has no end; expected '*/'");
    at_ = end + 2;
    return true;
  }

  void push(Token token, std::size_t start) {
    token.at = start;
    token.end = at_;
    tokens_.push_back(std::move(token));
  }

  bool next_token() {
    char const c = peek();
    if (starts_word(c)) return word();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (looking_at("\"\"\"")) return raw_string();
    if (c == '"') return string();
    if (c == '`') return quoted_name();
    if (c == '\'') return fail(at_, "strings stand in double quotes, not in single ones");
    if (c == '?' && (peek(1) == '"' || peek(1) == '\'')) {
      return fail(at_, "?\"…\" is no raw string here; write \"\"\"…\"\"\"");
    }
    return symbol();
  }

  bool word() {
    std::size_t const start = at_;
    while (in_word(peek())) ++at_;
    Token token;
    token.kind = Token::Kind::word;
    token.text = text_.substr(start, at_ - start);
    if (peek() == '~') {
      token.tilde = true;
      ++at_;
    }
    push(std::move(token), start);
    return true;
  }

  bool number() {
    std::size_t const start = at_;
    bool integral = true;
    while (is_digit(peek())) ++at_;
    if (peek() == '.') {
      integral = false;
      ++at_;
      while (is_digit(peek())) ++at_;
    }
    std::size_t const sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(1 + sign))) {
      integral = false;
      at_ += 1 + sign;
      while (is_digit(peek())) ++at_;
    }
    std::string const digits(text_.substr(start, at_ - start));
    Token token;
    token.kind = Token::Kind::number;
    token.text = digits;
    char const *const first = digits.data();
    char const *const last = first + digits.size();
    if (integral && std::from_chars(first, last, token.number.integer).ec != std::errc{}) {
      std::uint64_t magnitude = 0;
      auto const read = std::from_chars(first, last, magnitude);
      token.least = read.ec == std::errc{} && magnitude == std::uint64_t{1} << 63;
      if (!token.least) return fail(start, "this number is too large");
      integral = false;
    }
    if (std::from_chars(first, last, token.number.real).ec != std::errc{}) {
      return fail(start, "this number is too large or too small");
    }
    token.number.integral = integral;
    push(std::move(token), start);
    return true;
  }

  // No escapes, no newline. Quotes right before the closing three belong to the text.
  bool raw_string() {
    std::size_t const start = at_;
    std::size_t close = text_.find("\"\"\"", at_ + 3);
    std::size_t const newline = text_.find('\n', at_);
    if (close == text_.npos || newline < close)
      return fail(start, "this raw string has no end; expected '\"\"\"' on its line");
    for (int extra = 0; extra < 2 && close + 3 < text_.size() && text_[close + 3] == '"'; ++extra) ++close;
    Token token;
    token.kind = Token::Kind::string;
    token.text = text_.substr(at_ + 3, close - at_ - 3);
    at_ = close + 3;
    push(std::move(token), start);
    return true;
  }

  bool string() {
    std::size_t const start = at_++;
    Token token;
    token.kind = Token::Kind::string;
    while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') {
      char const c = text_[at_];
      if (c == '"') {
        ++at_;
        push(std::move(token), start);
        return true;
      }
      if (c == '\\') {
        if (!escape(token.text)) return false;
      } else {
        token.text += c;
        ++at_;
      }
    }
    return fail(start, "this string has no end; expected '\"' on its line");
  }

  bool escape(std::string &text) {
    constexpr std::string_view kNames = "btnfr\"\\";
    constexpr std::string_view kCharacters = "\b\t\n\f\r\"\\";
    if (looking_at("\\u{")) return unicode_escape(text);
    auto const index = at_ + 1 < text_.size() ? kNames.find(text_[at_ + 1]) : kNames.npos;
    if (index == kNames.npos) {
      return fail(at_,
                  "expected one of the escapes \\b \\t \\n \\f \\r \\\" \\\\ \\u{…}; a raw string "
                  "\"\"\"…\"\"\" has none");
    }
    text += kCharacters[index];
    at_ += 2;
    return true;
  }

  bool unicode_escape(std::string &text) {
    std::string_view const rest = text_.substr(at_ + 3);
    std::size_t const digits = std::min(rest.find('}'), rest.size());
    std::uint32_t character = 0;
    auto const [end, ec] = std::from_chars(rest.data(), rest.data() + digits, character, 16);
    bool const whole = ec == std::errc{} && end == rest.data() + digits && digits < rest.size();
    if (!whole || digits < 2 || digits > 8 || !append_utf8(text, static_cast<char32_t>(character))) {
      return fail(at_, "expected a character's number, such as \\u{20ac}");
    }
    at_ += 3 + digits + 1;
    return true;
  }

  bool quoted_name() {
    std::size_t const start = at_++;
    Token token;
    token.kind = Token::Kind::name;
    while (at_ < text_.size()) {
      if (looking_at("``")) {
        token.text += '`';
        at_ += 2;
      } else if (text_[at_] == '`') {
        ++at_;
        if (token.text.empty()) return fail(start, "this field name is empty");
        push(std::move(token), start);
        return true;
      } else {
        token.text += text_[at_++];
      }
    }
    return fail(start, "this field name has no end; expected '`'");
  }

  bool symbol() {
    constexpr std::string_view kSymbols[] = {"==", "!=", "<=", ">=", "!:", "<", ">", ":", "=", "(", ")", "[",
                                             "]",  ",",  ".",  "+",  "-",  "*", "/", "%", "|", "?", "!"};
    for (std::string_view const known : kSymbols) {
      if (!looking_at(known)) continue;
      Token token;
      token.kind = Token::Kind::symbol;
      token.text = known;
      std::size_t const start = at_;
      at_ += known.size();
      push(std::move(token), start);
      return true;
    }
    return fail(at_, "no token of the language begins here");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
  std::optional<Failure> failure_;
};

}  // namespace

std::variant<std::vector<Token>, Failure> tokenize(std::string_view text) {
  return Lexer(text).run();
}

// Escapes are longer than what they stand for; \u{…} may be more than a byte.
std::size_t offset_in_string(std::string_view text, std::size_t at, std::size_t index) {
  if (text.substr(at).starts_with("\"\"\"")) return at + 3 + index;
  std::size_t end = at + 1;
  for (std::size_t decoded = 0; decoded < index && end < text.size();) {
    std::size_t length = 1;
    if (text[end] == '\\') length = text.substr(end).starts_with("\\u{") ? text.find('}', end) + 1 - end : 2;
    auto const one = tokenize('"' + std::string(text.substr(end, length)) + '"');
    auto const *tokens = std::get_if<std::vector<Token>>(&one);
    decoded += tokens == nullptr ? 1 : tokens->front().text.size();
    end += length;
  }
  return end;
}

}  // namespace imdsgate::eql
