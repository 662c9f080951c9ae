#include "attribute/client_sockets.hpp"

namespace imdsgate {

Result<ClientSockets> ClientSockets::open() {
  auto diag = SockDiag::open();
  if (!diag) return diag.error();
  ClientSockets sockets(std::move(*diag));
  if (auto conntrack = Conntrack::open()) sockets.conntrack_.emplace(std::move(*conntrack));
  return sockets;
}

Result<void> ClientSockets::note_times() {
  if (!conntrack_) return Error{Errc::system, "there is no conntrack"};
  auto clock = WallClock::open();
  if (!clock) return clock.error();
  auto noted = Conntrack::note_times();
  if (noted) clock_.emplace(std::move(*clock));
  return noted;
}

std::optional<MonotonicTime> ClientSockets::dialled(Flow const &flow) {
  auto const started = clock_ ? conntrack_->started(flow) : std::nullopt;
  if (!started) return std::nullopt;
  return clock_->steady(*started).value_or(MonotonicTime{});
}

void ClientSockets::look_up(Flow &flow) {
  flow.dialled_steady = dialled(flow);
  flow.dialled_from = flow.client;
  auto found = diag_.find_tcp(flow.dialled_from, flow.original);
  if (!found && found.error().reason == Reason::socket_not_found && conntrack_) {
    if (auto const before = conntrack_->original_client(flow); before && *before != flow.client) {
      flow.dialled_from = *before;
      found = diag_.find_tcp(flow.dialled_from, flow.original);
    }
  }
  flow.socket = found ? std::optional(*found) : std::nullopt;
}

bool ClientSockets::open_at_client(Flow const &flow) {
  return diag_.find_tcp(flow.socket ? flow.dialled_from : flow.client, flow.original).has_value();
}

}  // namespace imdsgate
