// One client connection as the kernel describes it, before anybody asked whose it is.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "model/address.hpp"

namespace imdsgate {

enum class Transport { tcp, unix_socket };

// One socket, as the kernel names it.
struct SocketId {
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;  // SO_COOKIE: no other socket of this boot has it, but it outlives a connection
  uid_t uid = 0;             // who created it
  std::uint64_t cgroup = 0;  // 0: the kernel does not say
  auto operator<=>(SocketId const &) const = default;
};

// One connection of one socket, as the kernel programs write it down (bpf/attribute_maps.h).
struct ConnectionId {
  std::uint64_t cookie = 0;
  std::uint64_t connected_ns = 0;  // on CLOCK_MONOTONIC; a socket can be connected anew
  auto operator<=>(ConnectionId const &) const = default;
};

struct Flow {
  Transport transport = Transport::tcp;
  Endpoint client;  // the peer as accept() saw it; its port may have been remapped by NAT (facts §1). Unset
                    // on AF_UNIX
  Endpoint original;  // the destination the client dialled, from SO_ORIGINAL_DST / IP6T_SO_ORIGINAL_DST; on
                      // AF_UNIX the first endpoint
  Endpoint local;     // the listener's end
  int unix_fd = -1;   // AF_UNIX: the accepted descriptor, borrowed, for SO_PEERCRED and SO_PEERPIDFD; else -1
  std::chrono::system_clock::time_point accepted{};
  std::chrono::steady_clock::time_point accepted_steady{};  // the same moment, on CLOCK_MONOTONIC
  // TCP: when it was dialled or earlier, where conntrack noted that; accept() may come much later.
  std::optional<std::chrono::steady_clock::time_point> dialled_steady;
  std::optional<SocketId>
      socket;             // TCP: the client's end, as it was at accept; nullopt: not looked for, or not found
  Endpoint dialled_from;  // with `socket`: `client` before its port was translated
  // TCP from another network namespace: the guarded bridge it came over (`containers`); empty: from this one.
  std::string bridge;
  std::optional<ConnectionId> recorded;  // TCP: whose client's record the kernel says this connection has
};

}  // namespace imdsgate
