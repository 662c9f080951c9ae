// Asks the kernel about one socket by what identifies it (sock_diag(7)): exact gets, never a dump. Needs no
// capability. Sees the network namespace it was opened in.
#pragma once

#include "attribute/codec.hpp"
#include "attribute/netlink.hpp"

namespace imdsgate {

class SockDiag {
 public:
  static Result<SockDiag> open();

  // The client's end of the connection client → original. socket_not_found: the kernel knows none with
  // exactly these addresses (its port may have been translated); socket_gone: it was closed.
  Answered<SocketId> find_tcp(Endpoint const &client, Endpoint const &original);

  // The other end of a connected AF_UNIX socket, given the accepted one's inode. `uid` and `cgroup` stay 0.
  Answered<SocketId> find_unix_peer(std::uint64_t accepted_inode);

 private:
  explicit SockDiag(NetlinkSocket socket) : socket_(std::move(socket)) {}
  Answered<SocketId> get_tcp(Endpoint const &client, Endpoint const &original, unsigned interface);
  NetlinkSocket socket_;
};

}  // namespace imdsgate
