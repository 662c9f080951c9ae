// Connections to guarded addresses that go past the gateway because they were there before the redirect: a nat rule
// sees the first packet of a connection only. In the network namespace it was opened in; needs CAP_NET_ADMIN.
// Everything is answered at once, but a list is of all of the host's connections: not for the loop.
#pragma once

#include <span>
#include <vector>

#include "attribute/conntrack.hpp"
#include "attribute/sock_diag.hpp"

namespace imdsgate {

class Bypassing {
 public:
  static Result<Bypassing> open();

  // Those that somebody has open, except what is translated to `listen_port`: the gateway's clients. Its own
  // connections upstream are among them.
  Result<std::vector<TcpSocket>> list(std::span<Endpoint const> guarded, std::uint16_t listen_port);

  // Resets it at both ends and has conntrack forget it, so that nothing keeps leading it past. False: it was gone.
  Result<bool> cut(TcpSocket const &socket);

 private:
  Bypassing(SockDiag diag, Conntrack conntrack) : diag_(std::move(diag)), conntrack_(std::move(conntrack)) {}
  SockDiag diag_;
  Conntrack conntrack_;
};

}  // namespace imdsgate
