#include "rules/pattern_set.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "model/utf8.hpp"

namespace imdsgate::eql {
namespace {

constexpr std::array<unsigned char, 256> make_fold() {
  std::array<unsigned char, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<unsigned char>(i >= 'A' && i <= 'Z' ? i | 0x20 : i);
  }
  return table;
}
constexpr auto kFold = make_fold();

char fold(char c) {
  return static_cast<char>(kFold[static_cast<unsigned char>(c)]);
}

// FNV-1a, because a prefix's hash is a step on the way to the whole text's.
constexpr std::uint64_t kHashStart = 14695981039346656037u;
std::uint64_t hash_step(std::uint64_t hash, char c) {
  return (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
}
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = kHashStart;
  for (char const c : text) hash = hash_step(hash, c);
  return hash;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::size_t character_length(std::string_view text) {
  return std::max<std::size_t>(1, utf8_length(text));
}

}  // namespace

std::string PatternSet::prepared(std::string_view text) const {
  std::string result(text);
  if (letters_ == Case::folded) std::transform(result.begin(), result.end(), result.begin(), fold);
  return result;
}

void PatternSet::insert(std::vector<Entry> &entries, std::string text) {
  Entry entry{text.size(), hash_of(text), std::move(text)};
  auto const before = [](Entry const &a, Entry const &b) {
    return std::tie(a.length, a.hash, a.text) < std::tie(b.length, b.hash, b.text);
  };
  auto const place = std::lower_bound(entries.begin(), entries.end(), entry, before);
  if (place == entries.end() || before(entry, *place)) entries.insert(place, std::move(entry));
}

void PatternSet::add_text(std::string_view text) {
  insert(texts_, prepared(text));
}

void PatternSet::add_prefix(std::string_view text) {
  insert(prefixes_, prepared(text));
}

void PatternSet::add_suffix(std::string_view text) {
  suffixes_.push_back(prepared(text));
}

void PatternSet::add_part(std::string_view text) {
  std::string part = prepared(text);
  auto const other = std::find_if_not(part.begin(), part.end(), is_letter);
  std::size_t const anchor = other == part.end() ? 0 : static_cast<std::size_t>(other - part.begin());
  bool const caseless = letters_ == Case::sensitive || std::none_of(part.begin(), part.end(), is_letter);
  parts_.push_back({std::move(part), anchor, caseless});
}

void PatternSet::add_pattern(std::string_view pattern) {
  std::string text;
  for (char const c : prepared(pattern)) {
    if (c != '*' || text.empty() || text.back() != '*') text += c;
  }
  auto const wildcard = text.find_first_of("*?");
  if (wildcard == text.npos) return insert(texts_, std::move(text));
  if (text == "*") {
    everything_ = true;
    return;
  }
  std::string_view const inner = std::string_view(text).substr(1);
  if (text[wildcard] == '*' && wildcard == text.size() - 1) {
    add_prefix(std::string_view(text).substr(0, text.size() - 1));
  } else if (text.front() == '*' && inner.find_first_of("*?") == inner.npos) {
    add_suffix(inner);
  } else if (text.front() == '*' && inner.find_first_of("*?") == inner.size() - 1 && inner.back() == '*') {
    add_part(inner.substr(0, inner.size() - 1));
  } else {
    globs_.push_back(std::move(text));
  }
}

bool PatternSet::equal(std::string_view value, std::string_view text) const {
  if (value.size() != text.size()) return false;
  if (letters_ == Case::sensitive) return value == text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (fold(value[i]) != text[i]) return false;
  }
  return true;
}

bool PatternSet::in(std::vector<Entry> const &entries, std::string_view value, std::uint64_t hash) const {
  auto entry =
      std::lower_bound(entries.begin(), entries.end(), hash, [&](Entry const &e, std::uint64_t wanted) {
        return std::tie(e.length, e.hash) < std::make_tuple(value.size(), wanted);
      });
  for (; entry != entries.end() && entry->length == value.size() && entry->hash == hash; ++entry) {
    if (equal(value, entry->text)) return true;
  }
  return false;
}

// One pass: at each length a prefix has, the hash so far is looked up; at the end, the whole.
bool PatternSet::whole_or_prefix(std::string_view value) const {
  std::size_t const longest_text = texts_.empty() ? 0 : texts_.back().length;
  bool const may_be_whole =
      !texts_.empty() && value.size() >= texts_.front().length && value.size() <= longest_text;
  std::size_t const longest = prefixes_.empty() ? 0 : std::min(value.size(), prefixes_.back().length);
  std::size_t const end = may_be_whole ? value.size() : longest;
  std::uint64_t hash = kHashStart;
  auto next = prefixes_.begin();
  for (std::size_t i = 0; i < end; ++i) {
    hash = hash_step(hash, letters_ == Case::folded ? fold(value[i]) : value[i]);
    if (next == prefixes_.end() || next->length != i + 1) continue;
    if (in(prefixes_, value.substr(0, i + 1), hash)) return true;
    while (next != prefixes_.end() && next->length == i + 1) ++next;
  }
  return may_be_whole && in(texts_, value, hash);
}

bool PatternSet::contains(std::string_view value, Part const &part) const {
  std::size_t const length = part.text.size();
  if (value.size() < length) return false;
  if (part.caseless) return memmem(value.data(), value.size(), part.text.data(), length) != nullptr;
  char const anchor = part.text[part.anchor];
  std::size_t const last = value.size() - length;
  for (std::size_t at = 0; at <= last; ++at) {
    if (is_letter(anchor)) {
      while (at <= last && fold(value[at + part.anchor]) != anchor) ++at;
    } else {
      auto const found = value.substr(0, last + part.anchor + 1).find(anchor, at + part.anchor);
      if (found == value.npos) return false;
      at = found - part.anchor;
    }
    if (at <= last && equal(value.substr(at, length), part.text)) return true;
  }
  return false;
}

// Backtracks to the last star only: an earlier one need never be longer. A star grows by whole characters, so
// that a later ? never takes a part of one.
bool PatternSet::glob(std::string_view value, std::string_view pattern) const {
  std::size_t v = 0, p = 0;
  std::size_t star = pattern.npos, resume = 0;
  while (v < value.size()) {
    char const c = letters_ == Case::folded ? fold(value[v]) : value[v];
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = v;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      v += character_length(value.substr(v));
    } else if (p < pattern.size() && pattern[p] == c) {
      ++p;
      ++v;
    } else if (star != pattern.npos) {
      resume += character_length(value.substr(resume));
      v = resume;
      p = star + 1;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool PatternSet::matches(std::string_view value) const {
  if (everything_) return true;
  if ((!texts_.empty() || !prefixes_.empty()) && whole_or_prefix(value)) return true;
  for (Part const &part : parts_) {
    if (contains(value, part)) return true;
  }
  for (std::string const &suffix : suffixes_) {
    if (value.size() >= suffix.size() && equal(value.substr(value.size() - suffix.size()), suffix))
      return true;
  }
  for (std::string const &pattern : globs_) {
    if (glob(value, pattern)) return true;
  }
  return false;
}

}  // namespace imdsgate::eql
