// Many texts and wildcard patterns, compiled so that one pass over a value answers for all of them: whole
// texts and `prefix*` are hash look-ups, `*part*` a search; only what is left is matched pattern by pattern.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace imdsgate::eql {

enum class Case { sensitive, folded };  // folded: ASCII letters only

class PatternSet {
 public:
  explicit PatternSet(Case letters = Case::sensitive) : letters_(letters) {}

  void add_text(std::string_view text);        // * and ? stand for themselves
  void add_pattern(std::string_view pattern);  // * any run, ? one UTF-8 character; nothing escapes them

  void add_prefix(std::string_view text);  // likewise, and anything behind it
  void add_suffix(std::string_view text);
  void add_part(std::string_view text);

  // Compares the whole value. Allocates nothing; linear in the value for all but the patterns with wildcards
  // in their middle, each of which may cost its length for every byte.
  bool matches(std::string_view value) const;

 private:
  struct Entry {
    std::size_t length;
    std::uint64_t hash;
    std::string text;
  };

  // The text of a `*text*`, and where in it a byte stands that has no other case: what the search looks for.
  struct Part {
    std::string text;
    std::size_t anchor;
    bool caseless;  // no letter at all: bytes compare as they are
  };

  std::string prepared(std::string_view text) const;
  bool equal(std::string_view value, std::string_view text) const;
  bool in(std::vector<Entry> const &entries, std::string_view value, std::uint64_t hash) const;
  bool contains(std::string_view value, Part const &part) const;
  bool glob(std::string_view value, std::string_view pattern) const;
  bool whole_or_prefix(std::string_view value) const;
  static void insert(std::vector<Entry> &entries, std::string text);

  Case letters_;
  bool everything_ = false;
  std::vector<Entry> texts_;     // sorted by length, then hash
  std::vector<Entry> prefixes_;  // likewise
  std::vector<Part> parts_;
  std::vector<std::string> suffixes_;
  std::vector<std::string> globs_;
};

}  // namespace imdsgate::eql
