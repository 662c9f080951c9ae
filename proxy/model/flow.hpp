// One client connection as the kernel describes it, before anybody asked whose it is.
#pragma once

#include <chrono>

#include "model/address.hpp"

namespace imdsgate {

enum class Transport { tcp, unix_socket };

struct Flow {
  Transport transport = Transport::tcp;
  Endpoint client;  // the peer as accept() saw it; its port may have been remapped by NAT (facts §1). Unset
                    // on AF_UNIX
  Endpoint original;  // the destination the client dialled, from SO_ORIGINAL_DST / IP6T_SO_ORIGINAL_DST; on
                      // AF_UNIX the first endpoint
  Endpoint local;     // the listener's end
  int unix_fd = -1;   // AF_UNIX: the accepted descriptor, borrowed, for SO_PEERCRED and SO_PEERPIDFD; else -1
  std::chrono::system_clock::time_point accepted{};
};

}  // namespace imdsgate
