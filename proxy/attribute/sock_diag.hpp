// Asks the kernel about sockets (sock_diag(7)). Who one belongs to is an exact get, never a dump. Asking needs no
// capability. Sees the network namespace it was opened in.
#pragma once

#include <span>
#include <vector>

#include "attribute/codec.hpp"
#include "attribute/netlink.hpp"

namespace imdsgate {

// One end of a TCP connection, as a dump lists it.
struct TcpSocket {
  Endpoint client, original;  // this end, and the one that it dialled
  SocketId id;
  std::uint32_t mark = 0;       // SO_MARK; told to CAP_NET_ADMIN only
  std::uint32_t interface = 0;  // SO_BINDTODEVICE
};

class SockDiag {
 public:
  static Result<SockDiag> open();

  // The client's end of the connection client → original. socket_not_found: the kernel knows none with
  // exactly these addresses (its port may have been translated); socket_gone: it was closed.
  Answered<SocketId> find_tcp(Endpoint const &client, Endpoint const &original);

  // Every connection to one of `destinations` that somebody has open and can receive on, v4-mapped ones too. A dump of
  // all TCP sockets.
  Result<std::vector<TcpSocket>> connections_to(std::span<Endpoint const> destinations);
  // Resets it at both ends (SOCK_DESTROY; needs CAP_NET_ADMIN). not_found: it is gone.
  Result<void> destroy(TcpSocket const &socket);

  // The other end of a connected AF_UNIX socket, given the accepted one's inode. `uid` and `cgroup` stay 0.
  Answered<SocketId> find_unix_peer(std::uint64_t accepted_inode);

 private:
  explicit SockDiag(NetlinkSocket socket) : socket_(std::move(socket)) {}
  Answered<SocketId> get_tcp(Endpoint const &client, Endpoint const &original, unsigned interface);
  NetlinkSocket socket_;
};

}  // namespace imdsgate
