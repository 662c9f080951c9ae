// The prober: the only processes that read other processes (design §3). A keeper forks workers on request and
// reads nothing itself, so that it cannot hang; a worker answers one question at a time, and may. Both hold
// CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH and nothing else.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "attribute/held_fd.hpp"
#include "model/result.hpp"

namespace imdsgate {

// The keeper's loop, until the other end of `control_fd` (SOCK_SEQPACKET) is closed; then it and its workers
// end. The exit status. `imdsgate prober` calls it with 3.
int run_prober(int control_fd);

// What the gateway asks the keeper, and what it answers to a `new_worker` and a `new_tracker` (with the
// socket of what was forked and its pidfd as SCM_RIGHTS, unless it failed). Answers come in the order of the
// questions; a `kill` has none. With a `new_tracker` come the descriptors of TrackerFds (exec_tracker.hpp).
struct KeeperRequest {
  enum class What : std::uint32_t { new_worker, kill, new_tracker } what = What::new_worker;
  pid_t worker = 0;
};
struct KeeperAnswer {
  pid_t worker = 0;        // 0: it could not be forked, or too many are still alive
  std::int32_t error = 0;  // errno
};

// The gateway's hold on its prober. Ends it when destroyed.
struct ProberProcess {
  HeldFd control;
  HeldFd pidfd;
  pid_t pid = 0;

  ProberProcess() = default;
  ProberProcess(ProberProcess &&) = default;
  ProberProcess &operator=(ProberProcess &&other) noexcept;
  ~ProberProcess();
};

// Starts `imdsgate prober` from /proc/self/exe, in the caller's network namespace, with the two capabilities
// made ambient for it where the caller has them. Call it from the main thread (the prober dies with the
// thread that made it), before any other thread runs. Refused without the two capabilities.
Result<ProberProcess> spawn_prober();

// The same without exec, for a program that has no `prober` subcommand (tests, benches).
Result<ProberProcess> fork_prober();

}  // namespace imdsgate
