// Who listens on a TCP port of this host, by NETLINK_SOCK_DIAG: read-only, no socket is bound to find out.
#pragma once

#include <sys/types.h>

#include <vector>

#include "model/address.hpp"
#include "model/result.hpp"

namespace imdsgate {

struct ListeningSocket {
  Address address;
  uid_t uid = 0;  // who created the socket
  ino_t inode = 0;
};

// Both families, in the calling thread's network namespace. Blocks on nothing but the kernel.
Result<std::vector<ListeningSocket>> listening_sockets(std::uint16_t port);

}  // namespace imdsgate
