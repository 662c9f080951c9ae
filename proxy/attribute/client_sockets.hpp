// Which socket a connection comes from. Exact look-ups in the kernel's tables, in the network namespace it
// was opened in; they return at once, so the loop may ask.
#pragma once

#include <optional>

#include "attribute/conntrack.hpp"
#include "attribute/exec_record.hpp"
#include "attribute/sock_diag.hpp"
#include "attribute/wall_clock.hpp"

namespace imdsgate {

class ClientSockets {
 public:
  // Without CAP_NET_ADMIN, a client whose port was translated is not found.
  static Result<ClientSockets> open();

  // From now on look_up() fills flow.dialled_steady as well, for whoever has no better record of it. The
  // error says why it cannot.
  Result<void> note_times();
  // Fills flow.socket and flow.dialled_from; leaves them empty when there is no such socket any more. TCP
  // only.
  void look_up(Flow &flow);
  // Does anybody still hold the client's end?
  bool open_at_client(Flow const &flow);

 private:
  std::optional<MonotonicTime> dialled(Flow const &flow);
  explicit ClientSockets(SockDiag diag) : diag_(std::move(diag)) {}
  SockDiag diag_;
  std::optional<Conntrack> conntrack_;
  std::optional<WallClock> clock_;  // conntrack notes times
};

}  // namespace imdsgate
