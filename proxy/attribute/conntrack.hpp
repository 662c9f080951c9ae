// Undoes the port translation of a redirect (facts of nf_nat: two sockets on one source port), and says whether a
// connection is translated at all. Runs in the
// gateway, not in a prober: ctnetlink asks for CAP_NET_ADMIN, which the gateway has and a prober must not.
#pragma once

#include <chrono>
#include <optional>

#include "attribute/netlink.hpp"
#include "model/flow.hpp"

namespace imdsgate {

struct ConntrackTuple {
  Endpoint source, destination;
};

class Conntrack {
 public:
  static Result<Conntrack> open();

  // Where the client dialled from, before translation: the source of the connection's original direction,
  // looked up by its reply direction (local → peer). not_found: no such connection, or its original
  // destination is not flow.original.
  Result<Endpoint> original_client(Flow const &flow);

  // When the connection's first packet passed: within its connect(2). nullopt: that was not noted.
  std::optional<std::chrono::system_clock::time_point> started(Flow const &flow);
  // From now on it is noted in this network namespace, for every connection (nf_conntrack_timestamp).
  static Result<void> note_times();

  // Who answers the connection client → original: `original` itself, unless it is translated. not_found: it is not
  // tracked.
  Result<Endpoint> answerer(Endpoint const &client, Endpoint const &original);
  // Drops what is kept of it, its translation too. not_found: nothing was.
  Result<void> forget(Endpoint const &client, Endpoint const &original);

 private:
  struct Known {
    ConntrackTuple original, reply;
    std::optional<std::chrono::system_clock::time_point> started;
  };
  Result<Known> get_accepted(Flow const &flow);
  Result<Known> get(int direction, Endpoint const &source, Endpoint const &destination);
  explicit Conntrack(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace imdsgate
