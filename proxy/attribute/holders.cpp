#include "attribute/holders.hpp"

#include <dirent.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

namespace imdsgate {
namespace {

constexpr int kAttempts =
    2;  // a process that changes while it is read is read once more, then it is uncertain

// It merely inherited the descriptor: its parent holds it too, and it is the same program with the same
// rights.
bool inherited(Suspect const &suspect, std::vector<Suspect> const &all) {
  if (!suspect.parent || suspect.holder.tracer != 0) return false;
  return std::any_of(all.begin(), all.end(), [&](Suspect const &other) {
    return other.holder.id.tgid == suspect.parent->id.tgid &&
           other.holder.id.start_ticks == suspect.parent->id.start_ticks &&
           other.holder.id.exec == suspect.holder.id.exec && static_cast<UserIds const &>(other.holder) == suspect.holder;
  });
}

char const *const kUnseen = "some processes of the client's cgroup are outside this pid namespace";

bool has_unseen(std::vector<pid_t> const &pids) {
  return std::find(pids.begin(), pids.end(), 0) != pids.end();
}

bool passed(Deadline deadline) {
  return std::chrono::steady_clock::now() > deadline;
}

}  // namespace

std::vector<pid_t> HolderSearch::everyone() {
  std::vector<pid_t> pids;
  struct Close {
    void operator()(DIR *dir) const { ::closedir(dir); }
  };
  std::unique_ptr<DIR, Close> const proc(::opendir("/proc"));
  while (auto const *entry = proc ? ::readdir(proc.get()) : nullptr) {
    pid_t pid = 0;
    auto const *last = entry->d_name + std::strlen(entry->d_name);
    auto const [end, ec] = std::from_chars(entry->d_name, last, pid);
    if (ec == std::errc{} && end == last) pids.push_back(pid);
  }
  return pids;
}

Answered<Holders> HolderSearch::in_cgroup(SocketId const &socket, Deadline deadline) {
  auto const pids = cgroups_.processes(socket.cgroup);
  if (!pids) return Refusal{Reason::no_holder, "the socket's cgroup is gone or unknown"};
  if (has_unseen(*pids)) return Refusal{Reason::other_namespace, kUnseen};
  Answered<Holders> holders = Refusal{Reason::holder_changed, "the holders changed while they were read"};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto const found = candidates(*pids, socket.inode, deadline);
    if (!found) return Refusal{Reason::walk_timeout, "not all descriptors could be looked at in time"};
    if (found->empty()) return Refusal{Reason::no_holder, "nobody holds the socket"};
    holders = judge(*found, socket);
    bool const changed = !holders && (holders.error().reason == Reason::holder_changed ||
                                      holders.error().reason == Reason::process_gone);
    if (!changed) break;
  }
  return holders;
}

Answered<Holders> HolderSearch::sole(pid_t peer, std::vector<pid_t> pids, SocketId const &socket,
                                     Deadline deadline) {
  if (has_unseen(pids)) return Refusal{Reason::other_namespace, kUnseen};
  if (std::find(pids.begin(), pids.end(), peer) == pids.end()) pids.push_back(peer);
  auto const found = candidates(pids, socket.inode, deadline);
  if (!found) return Refusal{Reason::walk_timeout, "not all descriptors could be looked at in time"};
  if (found->empty()) return Refusal{Reason::no_holder, "nobody holds the peer's end"};
  for (auto const &candidate : *found) {
    if (candidate.pid != peer) {
      return Refusal{Reason::second_holder,
                     "process " + std::to_string(candidate.pid) + " holds the peer's end too"};
    }
  }
  return judge(*found, socket);
}

std::optional<std::vector<HolderSearch::Candidate>> HolderSearch::candidates(std::vector<pid_t> const &pids,
                                                                             std::uint64_t inode,
                                                                             Deadline deadline) {
  std::vector<Candidate> found;
  for (auto const pid : pids) {
    auto *process = processes_.known(pid);
    SocketPlace const last{inode, process ? process->last_path : std::string()};
    if (!last.path.empty() && process->dir.holds(last)) {
      found.push_back({pid, last});
      continue;
    }
    process = processes_.get(pid);
    if (!process) continue;
    if (passed(deadline)) return std::nullopt;
    auto place = process->dir.find_socket(inode, deadline);
    if (!place) return std::nullopt;
    if (!*place) continue;
    process->last_path = (*place)->path;
    found.push_back({pid, std::move(**place)});
  }
  return found;
}

Answered<Suspect> HolderSearch::suspect(Candidate const &candidate, SocketId const &socket) {
  auto *process = processes_.known(candidate.pid);
  if (!process) process = processes_.get(candidate.pid);
  if (!process) return Refusal{Reason::process_gone, "a holder ended"};
  // One pass without a second look at the start time: the directory pins the process, and what exec changes
  // (stack_start) is read first. A mixture of two programs equals no identity that was ever described, so the
  // gateway asks for a description, and that one is taken twice.
  auto snapshot = process->dir.snapshot(false);
  if (!snapshot) return snapshot.error();
  // Last: whoever no longer holds it when his name is known is not the one.
  if (!process->dir.holds(candidate.place)) {
    return Refusal{Reason::holder_changed, "a holder let go of the socket"};
  }
  // The connector (or the owner of the descriptor) is executing a program with other rights, or the
  // descriptor was given away: who of the two sends cannot be told (facts of SCM_RIGHTS in flight).
  if (socket.uid != 0 && snapshot->effective_uid != socket.uid) {
    return Refusal{Reason::holder_uncertain, "a holder runs with another uid than the socket's"};
  }
  Suspect suspect;
  suspect.holder = std::move(*snapshot);
  suspect.parent = parent_of(process->dir);
  return suspect;
}

std::optional<ProcessSnapshot> HolderSearch::parent_of(ProcDir &holder) {
  // The parent may end, and its number be given away, between the child's stat and ours: then the child has
  // another parent by now. A directory that was open before cannot have become someone else's.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto const pid = holder.parent();
    auto *parent = processes_.known(pid);
    Answered<ProcessSnapshot> snapshot = Refusal{Reason::process_gone, ""};
    if (parent) snapshot = parent->dir.snapshot(true);
    if (!snapshot) {
      parent = processes_.get(pid);
      if (parent) snapshot = parent->dir.snapshot(true);
    }
    if (snapshot && !parent->fresh) return std::move(*snapshot);
    auto const now = holder.stat();
    if (!now || now->parent != pid) continue;
    if (!snapshot) return std::nullopt;
    return std::move(*snapshot);
  }
  return std::nullopt;
}

Answered<Holders> HolderSearch::judge(std::vector<Candidate> const &candidates, SocketId const &socket) {
  if (candidates.size() > kMaxHolders) {
    return Refusal{Reason::holder_uncertain,
                   "more than " + std::to_string(kMaxHolders) + " processes hold it"};
  }
  Holders holders;
  std::vector<Suspect> all;
  for (auto const &candidate : candidates) {
    auto one = suspect(candidate, socket);
    if (!one) return one.error();
    holders.pids.push_back(candidate.pid);
    all.push_back(std::move(*one));
  }
  for (auto const &one : all) {
    if (!inherited(one, all)) holders.suspects.push_back(one);
  }
  if (holders.suspects.empty() || holders.suspects.size() > kMaxSuspects) {
    return Refusal{Reason::holder_uncertain,
                   std::to_string(holders.suspects.size()) + " different programs hold it"};
  }
  std::sort(holders.suspects.begin(), holders.suspects.end(),
            [](auto const &a, auto const &b) { return a.holder.id.tgid < b.holder.id.tgid; });
  std::sort(holders.pids.begin(), holders.pids.end());
  return holders;
}

Walked HolderSearch::walk(Walk const &question, Deadline deadline) {
  std::vector<std::vector<Candidate>> found(question.inodes.size());
  auto wanted = question.inodes;
  bool in_time = true;
  auto const pids = everyone();
  for (bool const own : {true, false}) {
    for (auto const pid : pids) {
      in_time = in_time && !passed(deadline);
      if (!in_time || wanted.empty()) break;
      auto process = ProcDir::open(pid);
      if (!process || (process->effective_uid() == question.uid) != own) continue;
      auto places = process->find_sockets(wanted, deadline);
      in_time = in_time && places.has_value();
      if (!in_time) break;
      for (auto &place : *places) {
        for (std::size_t i = 0; i < found.size(); ++i) {
          if (question.inodes[i] == place.inode) found[i].push_back({pid, place});
        }
      }
    }
    // The second pass is for those nobody of their own user holds.
    std::erase_if(wanted, [&](auto inode) {
      auto const at = std::find(question.inodes.begin(), question.inodes.end(), inode);
      return !found[static_cast<std::size_t>(at - question.inodes.begin())].empty();
    });
  }
  Walked walked;
  for (std::size_t i = 0; i < found.size(); ++i) {
    SocketId socket;
    socket.inode = question.inodes[i];
    socket.uid = question.uid;
    if (!in_time) {
      walked.by_inode.emplace_back(
          Refusal{Reason::walk_timeout, "not all processes could be looked at in time"});
    } else if (found[i].empty()) {
      walked.by_inode.emplace_back(Refusal{Reason::no_holder, "no process holds the socket"});
    } else if (auto holders = judge(found[i], socket)) {
      walked.by_inode.emplace_back(std::move(*holders));
    } else {
      walked.by_inode.emplace_back(holders.error());
    }
  }
  return walked;
}

}  // namespace imdsgate
