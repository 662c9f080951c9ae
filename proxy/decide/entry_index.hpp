// Where to look for the entries of a policy that may be about a request: by the executable they demand and by
// the literal beginning of their paths. It answers with too many entries, never with too few.
//
// 10,000 entries are so decided on without a look at most of them. Those whose `when` demands no executable
// outright (eql::Demand), and those without paths, are looked at for every request.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "decide/policy_entry.hpp"

namespace imdsgate {

class EntryIndex {
 public:
  EntryIndex() = default;
  explicit EntryIndex(std::span<PolicyEntry const> entries);

  // Numbers of entries, ascending, each once: every one that demands no executable or one of these, and has
  // no path or one that may match one of these canonical paths. `executables` nullopt: nobody knows, so any.
  std::vector<std::uint32_t> candidates(std::span<std::string_view const> paths,
                                        std::optional<std::span<std::string const>> executables) const;
  std::vector<std::uint32_t> candidates(std::string_view path,
                                        std::optional<std::span<std::string const>> executables) const {
    return candidates(std::span(&path, 1), executables);
  }
  bool empty() const { return slots_.empty(); }

 private:
  using Hash = std::uint64_t;
  void add(std::uint32_t number, PolicyEntry const &entry);
  void add(std::uint32_t number, Hash executable, std::vector<Hash> const &paths);

  // By both keys, and by the path alone. That two keys may share a hash costs a look at an entry, no more.
  std::unordered_map<Hash, std::vector<std::uint32_t>> slots_, by_path_;
  std::unordered_set<Hash> executables_;                   // the keys of slots_
  std::size_t deepest_path_ = 0, deepest_executable_ = 0;  // in segments, of the keys
};

}  // namespace imdsgate
