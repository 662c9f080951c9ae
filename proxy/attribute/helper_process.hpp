// A process of ours beside the daemon, made by it, that holds a few capabilities and nothing else of what the daemon
// has: the prober, the dialler. They talk over a SOCK_SEQPACKET pair, of which the helper has descriptor 3.
#pragma once

#include <sys/types.h>

#include <span>

#include "attribute/held_fd.hpp"
#include "model/result.hpp"

namespace imdsgate {

// The daemon's hold on a helper. Ends it when destroyed.
struct HelperProcess {
  HeldFd control;
  HeldFd pidfd;
  pid_t pid = 0;

  HelperProcess() = default;
  HelperProcess(HelperProcess &&) = default;
  HelperProcess &operator=(HelperProcess &&other) noexcept;
  ~HelperProcess();
};

using Capabilities = std::span<int const>;  // CAP_*

// Of these, does the caller have all in its permitted set?
bool has_capabilities(Capabilities wanted);

// Starts `imdsgate SUBCOMMAND` from /proc/self/exe, in the caller's network namespace, with `capabilities` made
// ambient for it where the caller has them. Call it from the main thread (a helper dies with the thread that made it),
// before any other thread runs.
Result<HelperProcess> spawn_helper(char const *subcommand, Capabilities capabilities);

// The same without exec, for a program that has no such subcommand (tests, benches): `body` is its main().
Result<HelperProcess> fork_helper(int (*body)(int control_fd));

// For helpers. Every capability goes but those of `kept` that are there, no exec brings one back, and nobody of the
// same user may look into the process.
bool drop_privileges(Capabilities kept);

// For helpers: it ends with its maker, not with a signal to the whole group, since the daemon still drains then.
bool follow_maker(int control_fd);

// In a child of `parent`: die with it. False: it is dead already.
bool die_with(pid_t parent);

int open_pidfd(pid_t pid);
void kill_by(HeldFd const &pidfd);

}  // namespace imdsgate
