// Descriptions of processes, one a pid, each believed for exactly the identity it was made for. Bounded, the
// least recently used goes first. The loop only.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <list>
#include <unordered_map>

#include "model/process.hpp"

namespace imdsgate {

// `Identity` has ==: whatever makes a process another one, or the same one with other rights.
template <class Identity>
class RecentLineages {
 public:
  using Clock = std::chrono::steady_clock;
  // `lifetime`: what a process changes without becoming another (its arguments, working directory, cgroup) is
  // read again after that.
  RecentLineages(std::size_t limit, Clock::duration lifetime) : limit_(limit), lifetime_(lifetime) {}

  LineagePtr find(pid_t pid, Identity const &identity, Clock::time_point now) {
    auto const known = by_pid_.find(pid);
    if (known == by_pid_.end()) return nullptr;
    auto const entry = known->second;
    if (!(entry->identity == identity) || now - entry->described > lifetime_) return nullptr;
    recent_.splice(recent_.begin(), recent_, entry);
    return entry->lineage;
  }

  void remember(pid_t pid, Identity identity, LineagePtr lineage, Clock::time_point now) {
    if (auto const known = by_pid_.find(pid); known != by_pid_.end()) {
      recent_.erase(known->second);
    } else if (recent_.size() >= limit_) {
      by_pid_.erase(recent_.back().pid);
      recent_.pop_back();
    }
    recent_.push_front({pid, std::move(identity), std::move(lineage), now});
    by_pid_[pid] = recent_.begin();
  }

  std::size_t size() const { return recent_.size(); }

 private:
  struct Entry {
    pid_t pid;
    Identity identity;
    LineagePtr lineage;
    Clock::time_point described;
  };
  std::size_t limit_;
  Clock::duration lifetime_;
  std::list<Entry> recent_;
  std::unordered_map<pid_t, typename std::list<Entry>::iterator> by_pid_;
};

}  // namespace imdsgate
