// Which socket a connection comes from. Exact look-ups in the kernel's tables, in the network namespace it
// was opened in; they return at once, so the loop may ask.
#pragma once

#include <optional>

#include "attribute/conntrack.hpp"
#include "attribute/sock_diag.hpp"

namespace imdsgate {

class ClientSockets {
 public:
  // Without CAP_NET_ADMIN, a client whose port was translated is not found.
  static Result<ClientSockets> open();

  // Fills flow.socket and flow.dialled_from; leaves them empty when there is no such socket any more. TCP
  // only.
  void look_up(Flow &flow);
  // Does anybody still hold the client's end?
  bool open_at_client(Flow const &flow);

 private:
  explicit ClientSockets(SockDiag diag) : diag_(std::move(diag)) {}
  SockDiag diag_;
  std::optional<Conntrack> conntrack_;
};

}  // namespace imdsgate
