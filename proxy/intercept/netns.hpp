// Entering another network namespace.
#pragma once

#include <string>

#include "model/result.hpp"

namespace imdsgate {

// Moves the calling thread, and no other, into the network namespace NAME of /run/netns (as `ip netns` makes
// them), or the one a path with a slash leads to. Needs CAP_SYS_ADMIN. Afterwards this thread's sockets and
// /proc/thread-self/net are the namespace's; /proc/net is still the main thread's, and /sys is not changed.
Result<void> enter_network_namespace(std::string const &name_or_path);

}  // namespace imdsgate
