// Descriptions the gateway has been given, by the identity of process and parent. Bounded, the least recently
// used goes first. The loop only.
#pragma once

#include <chrono>
#include <list>
#include <unordered_map>

#include "attribute/codec.hpp"

namespace imdsgate {

class LineageCache {
 public:
  using Clock = std::chrono::steady_clock;
  // `lifetime`: what a process may change without exec and without a change of identity (its arguments,
  // working directory, cgroup) is read again after that.
  LineageCache(std::size_t limit, Clock::duration lifetime) : limit_(limit), lifetime_(lifetime) {}

  // Only for exactly this process and this parent, with these credentials, untraced if it was; else nullptr.
  LineagePtr find(Suspect const &suspect, Clock::time_point now);

  // What was proven for the same exec stays proven when the file has been replaced on disk since (design §4).
  LineagePtr remember(Suspect const &suspect, Lineage lineage, Clock::time_point now);

  std::size_t size() const { return recent_.size(); }

 private:
  struct Entry {
    Suspect suspect;
    LineagePtr lineage;
    Clock::time_point described;
  };
  std::size_t limit_;
  Clock::duration lifetime_;
  std::list<Entry> recent_;
  std::unordered_map<pid_t, std::list<Entry>::iterator> by_pid_;
};

}  // namespace imdsgate
