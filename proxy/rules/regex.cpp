#include "rules/regex.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <optional>

#include "model/address.hpp"
#include "model/utf8.hpp"
#include "rules/excerpt.hpp"

namespace imdsgate::eql {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Lucene's pattern as RE2's: checks what RE2 would take for something else, and writes out both cases of
// letters. RE2's own
// (?i) folds beyond ASCII.
class Translation {
 public:
  Translation(std::string_view pattern, Case letters) : pattern_(pattern), letters_(letters) {}

  bool run() {
    while (!failure_ && at_ < pattern_.size()) step();
    return !failure_;
  }
  std::string const &result() const { return result_; }
  RegexFailure const &failure() const { return *failure_; }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  bool looking_at(std::string_view what) const { return pattern_.substr(at_).starts_with(what); }
  void copy(std::size_t count) {
    count = std::min(count, pattern_.size() - at_);
    result_ += pattern_.substr(at_, count);
    at_ += count;
  }
  void fail(std::string text) {
    if (!failure_) failure_ = RegexFailure{0, at_, std::move(text)};
  }

  void step() {
    char const c = peek();
    if (c == '\\') {
      escape();
    } else if (c == '[') {
      character_class();
    } else if (std::string_view("~&@#\"<").find(c) != std::string_view::npos) {
      fail(quoted(std::string_view(&c, 1)) +
           " is an operator of Lucene's regular expressions, which are not supported; expected " +
           quoted(std::string("\\") + c) + " for the character");
    } else if (c == '(' && peek(1) == '?' && peek(2) != ':') {
      fail("flags and named groups are not supported; expected '(' or '(?:'");
    } else if (c == '^' || c == '$') {  // ordinary characters to Lucene: a pattern is the whole value anyway
      result_ += {'\\', c};
      ++at_;
    } else if (letters_ == Case::folded && is_letter(c)) {
      result_ += {'[', c, static_cast<char>(c ^ 0x20), ']'};
      ++at_;
    } else {
      copy(1);
    }
  }

  // To Lucene any other letter or digit behind a backslash is itself; to RE2, and to who writes it, it is
  // not.
  void escape() {
    char const c = peek(1);
    if (c == 'Q' || c == 'E') return fail("\\Q…\\E is not supported; expected escaped characters");
    bool const plain = !is_letter(c) && !(c >= '0' && c <= '9');
    if (!plain && std::string_view("dDsSwW").find(c) == std::string_view::npos) {
      return fail(
          quoted(std::string("\\") + c) +
          " is no escape of Lucene's regular expressions; expected one of \\d \\D \\s \\S \\w \\W, or " +
          quoted(std::string_view(&c, 1)) + " for the character");
    }
    copy(2);
  }

  void character_class() {
    copy(1);
    if (peek() == '^') copy(1);
    for (bool first = true; !failure_ && at_ < pattern_.size() && (first || peek() != ']'); first = false) {
      class_item();
    }
    copy(1);
  }

  // One character, an escape, or a range.
  void class_item() {
    if (looking_at("[:")) return fail("[:classes:] are not supported; expected '\\[' for the character");
    auto const low = class_character();
    if (peek() != '-' || peek(1) == ']' || peek(1) == '\0') return mirror(low, low);
    copy(1);
    mirror(low, class_character());
  }

  // nullopt: not one ASCII character, so nothing to fold.
  std::optional<char> class_character() {
    if (peek() == '\\') {
      char const c = peek(1);
      escape();
      return is_letter(c) || (c >= '0' && c <= '9') ? std::nullopt : std::optional(c);
    }
    char const c = peek();
    copy(std::max<std::size_t>(1, utf8_length(pattern_.substr(at_))));
    return static_cast<unsigned char>(c) < 0x80 ? std::optional(c) : std::nullopt;
  }

  void mirror(std::optional<char> low, std::optional<char> high) {
    if (letters_ == Case::sensitive || !low) return;
    char const last = high.value_or('\x7f');
    mirror_letters(std::max(*low, 'A'), std::min(last, 'Z'));
    mirror_letters(std::max(*low, 'a'), std::min(last, 'z'));
  }
  void mirror_letters(char low, char high) {
    if (low <= high) result_ += {static_cast<char>(low ^ 0x20), '-', static_cast<char>(high ^ 0x20)};
  }

  std::string_view pattern_;
  Case letters_;
  std::size_t at_ = 0;
  std::string result_;
  std::optional<RegexFailure> failure_;
};

std::shared_ptr<re2::RE2 const> build(std::string const &pattern) {
  re2::RE2::Options options;
  options.set_dot_nl(true);
  options.set_log_errors(false);
  options.set_never_capture(true);
  return std::make_shared<re2::RE2 const>(pattern, options);
}

// Every ill-formed byte as U+FFFD: RE2 would match nothing at all, and one such byte would hide the whole
// value.
std::string well_formed(std::string_view value) {
  std::string result;
  while (!value.empty()) {
    std::size_t const length = utf8_length(value);
    if (length == 0) {
      result += "\xEF\xBF\xBD";
    } else {
      result += value.substr(0, length);
    }
    value.remove_prefix(std::max<std::size_t>(1, length));
  }
  return result;
}

bool matches_whole(std::string_view value, re2::RE2 const &pattern) {
  return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()), pattern);
}

}  // namespace

bool Regex::fits(std::string_view value) const {
  if (address_field) {
    if (auto const address = Address::parse(value)) return matches_whole(address->to_string(), *pattern);
  }
  if (matches_whole(value, *pattern)) return true;
  return first_invalid_utf8(value) && matches_whole(well_formed(value), *pattern);
}

std::variant<Regex, RegexFailure> compile_regex(std::span<std::string const> patterns, Case letters) {
  std::string all;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    Translation translation(patterns[i], letters);
    if (!translation.run()) {
      RegexFailure failure = translation.failure();
      failure.pattern = i;
      return failure;
    }
    auto const one = build(translation.result());
    if (!one->ok()) {
      auto const at = one->error_arg().empty() ? 0 : patterns[i].find(one->error_arg());
      return RegexFailure{i, at == std::string::npos ? 0 : at, "no regular expression: " + one->error()};
    }
    all += (i == 0 ? "(?:" : "|(?:") + translation.result() + ')';
  }
  auto pattern = build(all);
  if (!pattern->ok()) return RegexFailure{0, 0, "no regular expression: " + pattern->error()};
  return Regex{std::move(pattern), false};
}

}  // namespace imdsgate::eql
