// A worker of the prober.
#pragma once

#include "attribute/held_fd.hpp"

namespace imdsgate {

// Answers questions (attribute/codec.hpp) from `socket` until its other end is closed. Its netlink sockets
// are those of the network namespace it runs in.
int run_worker(HeldFd socket);

}  // namespace imdsgate
