// Descriptions by the kernel's own identity of a process: start time, exec counter, address space,
// credentials, and the same of its parent. What execs, or changes its user, is another entry. Bounded, the
// least recently used goes first.
#pragma once

#include <chrono>
#include <list>
#include <unordered_map>

#include "bpf/attribute_maps.h"
#include "model/process.hpp"

namespace imdsgate {

// Whether `now` is the same process, running the same program with the same rights, untraced if it was.
bool same_task(bpf_task const &before, bpf_task const &now);

class BpfLineages {
 public:
  using Clock = std::chrono::steady_clock;
  // `lifetime`: what a process changes without any of the above (its arguments, its cgroup) is read again
  // after that.
  BpfLineages(std::size_t limit, Clock::duration lifetime) : limit_(limit), lifetime_(lifetime) {}

  LineagePtr find(bpf_connection const &connection, Clock::time_point now);
  void remember(bpf_connection const &connection, LineagePtr lineage, Clock::time_point now);
  std::size_t size() const { return recent_.size(); }

 private:
  struct Entry {
    bpf_task connector, parent;
    std::uint64_t cgroup;
    LineagePtr lineage;
    Clock::time_point described;
  };
  std::size_t limit_;
  Clock::duration lifetime_;
  std::list<Entry> recent_;
  std::unordered_map<std::uint32_t, std::list<Entry>::iterator> by_pid_;
};

}  // namespace imdsgate
