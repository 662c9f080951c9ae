// The prober: the only processes that read other processes (design §3). A keeper forks workers on request and
// reads nothing itself, so that it cannot hang; a worker answers one question at a time, and may. Both hold
// CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH and nothing else.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "attribute/helper_process.hpp"

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

// Starts `imdsgate prober` (helper_process.hpp). Refused without the two capabilities.
Result<HelperProcess> spawn_prober();
Result<HelperProcess> fork_prober();

}  // namespace imdsgate
