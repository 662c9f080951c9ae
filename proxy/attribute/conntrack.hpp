// Undoes the port translation of a redirect (facts of nf_nat: two sockets on one source port). Runs in the
// gateway, not in a prober: ctnetlink asks for CAP_NET_ADMIN, which the gateway has and a prober must not.
#pragma once

#include "attribute/netlink.hpp"
#include "model/flow.hpp"

namespace imdsgate {

class Conntrack {
 public:
  static Result<Conntrack> open();

  // Where the client dialled from, before translation: the source of the connection's original direction,
  // looked up by its reply direction (local → peer). not_found: no such connection, or its original
  // destination is not flow.original.
  Result<Endpoint> original_client(Flow const &flow);

 private:
  explicit Conntrack(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace imdsgate
