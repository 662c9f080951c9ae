#include "decide/entry_index.hpp"

#include <algorithm>
#include <iterator>

#include "decide/ascii_case.hpp"

namespace imdsgate {
namespace {

using Hash = std::uint64_t;

// FNV-1a, of letters in one case: a denial and `:` take them in both.
constexpr Hash kNothing = 14695981039346656037ULL;
Hash next(Hash hash, char c) {
  return (hash ^ static_cast<unsigned char>(fold_case(c))) * 1099511628211ULL;
}

Hash both(Hash executable, Hash path) {
  return executable ^ (path + 0x9e3779b97f4a7c15ULL + (executable << 6) + (executable >> 2));
}

// Of a text's beginnings up to each slash, the empty one first, and of the whole; of no more than `most`
// segments.
std::vector<Hash> beginnings(std::string_view text, std::size_t most) {
  std::vector<Hash> hashes{kNothing};
  Hash hash = kNothing;
  for (std::size_t i = 0; i < text.size() && hashes.size() <= most; ++i) {
    if (text[i] == '/' && i > 0) hashes.push_back(hash);
    hash = next(hash, text[i]);
    if (i + 1 == text.size() && text != "/") hashes.push_back(hash);
  }
  return hashes;
}

struct Key {
  Hash hash = kNothing;
  std::size_t segments = 0;
};

// A text without wildcards is its own key; of another, what stands before the segment of its first one.
Key key_of(std::string_view text, std::string_view wildcards) {
  auto const wildcard = text.find_first_of(wildcards);
  if (wildcard != std::string_view::npos) {
    auto const slash = text.rfind('/', wildcard);
    text = text.substr(0, slash == std::string_view::npos ? 0 : slash);
  }
  auto const hashes = beginnings(text, text.size());
  return {hashes.back(), hashes.size() - 1};
}

// Beyond that an entry is cheaper to look at than to list under every pair of its keys.
constexpr std::size_t kMostPairs = 4096;

std::vector<Key> executable_keys(PolicyEntry const &entry) {
  if (entry.when) {
    auto const at = std::ranges::find(entry.when->demands, "process.executable", &eql::Demand::field);
    if (at != entry.when->demands.end()) {
      std::vector<Key> keys;
      for (auto const &[text, pattern] : at->any_of) keys.push_back(key_of(text, pattern ? "*?" : ""));
      return keys;
    }
  }
  return {Key{}};
}

std::vector<Key> path_keys(PolicyEntry const &entry) {
  if (entry.paths.empty()) return {Key{}};
  std::vector<Key> keys;
  for (auto const &pattern : entry.paths) keys.push_back(key_of(pattern, "*"));
  return keys;
}

template <class Number>
void sort_and_unite(std::vector<Number> &numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}
}  // namespace

EntryIndex::EntryIndex(std::span<PolicyEntry const> entries) {
  for (std::uint32_t i = 0; i < entries.size(); ++i) add(i, entries[i]);
}

void EntryIndex::add(std::uint32_t number, PolicyEntry const &entry) {
  auto executables = executable_keys(entry);
  auto const paths = path_keys(entry);
  if (executables.size() * paths.size() > kMostPairs) executables = {Key{}};
  std::vector<Hash> hashes;
  for (auto const &[hash, segments] : paths) {
    hashes.push_back(hash);
    deepest_path_ = std::max(deepest_path_, segments);
    auto &listed = by_path_[hash];
    if (listed.empty() || listed.back() != number) listed.push_back(number);
  }
  for (auto const &[hash, segments] : executables) {
    deepest_executable_ = std::max(deepest_executable_, segments);
    executables_.insert(hash);
    add(number, hash, hashes);
  }
}

void EntryIndex::add(std::uint32_t number, Hash executable, std::vector<Hash> const &paths) {
  for (auto const path : paths) {
    auto &listed = slots_[both(executable, path)];
    if (listed.empty() || listed.back() != number) listed.push_back(number);
  }
}

std::vector<std::uint32_t> EntryIndex::candidates(
    std::span<std::string_view const> wanted, std::optional<std::span<std::string const>> executables) const {
  std::vector<std::uint32_t> found;
  if (empty()) return found;
  std::vector<Hash> paths;
  for (auto const path : wanted)
    std::ranges::copy(beginnings(path, deepest_path_), std::back_inserter(paths));
  if (wanted.size() > 1) sort_and_unite(paths);
  auto const take = [&](auto const &from, Hash hash) {
    auto const at = from.find(hash);
    if (at != from.end()) found.insert(found.end(), at->second.begin(), at->second.end());
  };
  auto const take_all = [&](Hash executable) {
    if (!executables_.contains(executable)) return;
    for (auto const each : paths) take(slots_, both(executable, each));
  };
  if (!executables) {
    for (auto const each : paths) take(by_path_, each);
  } else {
    take_all(kNothing);
    for (auto const &executable : *executables) {
      for (auto const each : beginnings(executable, deepest_executable_)) {
        if (each != kNothing) take_all(each);
      }
    }
  }
  sort_and_unite(found);
  return found;
}

}  // namespace imdsgate
