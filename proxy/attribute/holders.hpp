// Who holds a socket. Everyone found counts; what does not fit together names nobody.
#pragma once

#include <vector>

#include "attribute/cgroup_tree.hpp"
#include "attribute/codec.hpp"
#include "attribute/process_cache.hpp"

namespace imdsgate {

class HolderSearch {
 public:
  HolderSearch(CgroupTree &cgroups, ProcessCache &processes) : cgroups_(cgroups), processes_(processes) {}

  // Everyone in the socket's cgroup, of whatever user. no_holder: nobody there, or no cgroup to look in; a
  // walk may still find somebody.
  Answered<Holders> in_cgroup(SocketId const &socket, Deadline deadline);

  // `peer` and nobody else among `pids`, for a socket whose connector the kernel names: second_holder
  // otherwise.
  Answered<Holders> sole(pid_t peer, std::vector<pid_t> pids, SocketId const &socket, Deadline deadline);

  // All processes of the host: those of the sockets' user first, the others only for a socket nobody of his
  // holds. Stops at the deadline: walk_timeout for every socket, because a holder not reached may be the bad
  // one.
  Walked walk(Walk const &question, Deadline deadline);

  static std::vector<pid_t> everyone();  // the numbers in /proc

 private:
  struct Candidate {
    pid_t pid;
    SocketPlace place;
  };
  std::optional<std::vector<Candidate>> candidates(std::vector<pid_t> const &pids, std::uint64_t inode,
                                                   Deadline deadline);
  Answered<Holders> judge(std::vector<Candidate> const &candidates, SocketId const &socket);
  Answered<Suspect> suspect(Candidate const &candidate, SocketId const &socket);
  std::optional<ProcessSnapshot> parent_of(ProcDir &holder);

  CgroupTree &cgroups_;
  ProcessCache &processes_;
};

}  // namespace imdsgate
