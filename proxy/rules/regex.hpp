// Regular expressions by RE2 (https://github.com/google/re2/wiki/Syntax): linear in the value, whatever the
// pattern. Held against the whole value; `.` is any character, a newline too; without regard to case only
// ASCII letters fold.
//
// The language's own engine is Lucene's
// (https://www.elastic.co/guide/en/elasticsearch/reference/current/regexp-syntax.html). Its operators ~ & @ #
// " and <n-m> are ordinary characters to RE2, so they are an error unless escaped or in a class. ^ and $ are
// ordinary characters, as in Lucene, where nothing is an anchor; (?:…) is a group, as in RE2. Escapes of
// letters but \d \s \w (RE2's \b, \x{…}, \pL; Lucene takes them for the letter), groups with flags, \Q…\E and
// [:classes:] are errors.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "rules/pattern_set.hpp"

namespace re2 {
class RE2;
}

namespace imdsgate::eql {

// Any of some patterns.
struct Regex {
  std::shared_ptr<re2::RE2 const> pattern;
  bool address_field = false;               // held against the address's canonical text
  bool fits(std::string_view value) const;  // safe for concurrent use
};

struct RegexFailure {
  std::size_t pattern;  // which
  std::size_t at;       // the byte in it
  std::string text;
};

std::variant<Regex, RegexFailure> compile_regex(std::span<std::string const> patterns, Case letters);

}  // namespace imdsgate::eql
