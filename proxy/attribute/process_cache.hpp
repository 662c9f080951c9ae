// Processes a worker has looked at lately, their /proc directories held open: a known process is found again
// without opening anything. Bounded; the least recently used goes first. One worker, one thread.
#pragma once

#include <list>
#include <unordered_map>

#include "attribute/proc_dir.hpp"

namespace imdsgate {

class ProcessCache {
 public:
  struct Entry {
    ProcDir dir;
    bool fresh = true;      // opened by the last get(), not before
    std::string last_path;  // where a socket was found last: it is looked at first
  };

  explicit ProcessCache(std::size_t limit) : limit_(limit) {}

  // The process that has this number now; nullptr: none. Valid until the next call of get() beyond `limit`
  // others.
  Entry *get(pid_t tgid);

  // The same for one that is cached, without asking whether it is alive: for a caller whose next read of its
  // directory tells, because it fails when the process has ended. nullptr: not cached.
  Entry *known(pid_t tgid);

  // Forgets an entry whose process turned out to have ended.
  void forget(pid_t tgid);

 private:
  struct Keyed {
    pid_t tgid;
    Entry entry;
  };
  std::size_t limit_;
  std::list<Keyed> recent_;  // the last used first
  std::unordered_map<pid_t, std::list<Keyed>::iterator> by_pid_;
};

}  // namespace imdsgate
