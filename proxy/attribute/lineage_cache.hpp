// Descriptions the gateway has been given, by the identity of process and parent. The loop only.
#pragma once

#include "attribute/codec.hpp"
#include "attribute/proven_executables.hpp"
#include "attribute/recent_lineages.hpp"

namespace imdsgate {

class LineageCache {
 public:
  using Clock = std::chrono::steady_clock;
  LineageCache(std::size_t limit, Clock::duration lifetime) : recent_(limit, lifetime) {}

  // Only for exactly this process and this parent, with these credentials, untraced if it was; else nullptr.
  LineagePtr find(Suspect const &suspect, Clock::time_point now) {
    return recent_.find(suspect.holder.id.tgid, suspect, now);
  }

  // What was proven for the same exec stays proven when the file has been replaced on disk since (design §4).
  LineagePtr remember(Suspect const &suspect, Lineage lineage, Clock::time_point now);

  ProvenExecutables &proven() { return proven_; }
  std::size_t size() const { return recent_.size(); }

 private:
  RecentLineages<Suspect> recent_;
  ProvenExecutables proven_;
};

}  // namespace imdsgate
