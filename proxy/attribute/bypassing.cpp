#include "attribute/bypassing.hpp"

namespace imdsgate {

Result<Bypassing> Bypassing::open() {
  auto diag = SockDiag::open();
  if (!diag) return diag.error();
  auto conntrack = Conntrack::open();
  if (!conntrack) return conntrack.error();
  return Bypassing(*std::move(diag), *std::move(conntrack));
}

Result<std::vector<TcpSocket>> Bypassing::list(std::span<Endpoint const> guarded, std::uint16_t listen_port) {
  auto connections = diag_.connections_to(guarded);
  if (!connections) return connections.error();
  std::vector<TcpSocket> past;
  for (auto const &socket : *connections) {
    auto const answerer = conntrack_.answerer(socket.client, socket.original);
    bool const untracked = !answerer && answerer.error().code == Errc::not_found;
    if (!answerer && !untracked) return answerer.error();
    bool const redirected = answerer && *answerer != socket.original && answerer->port == listen_port;
    if (!redirected) past.push_back(socket);
  }
  return past;
}

Result<bool> Bypassing::cut(TcpSocket const &socket) {
  auto const destroyed = diag_.destroy(socket);
  bool const gone = !destroyed && destroyed.error().code == Errc::not_found;
  if (!destroyed && !gone) return destroyed.error();
  if (gone) return false;
  auto const forgotten = conntrack_.forget(socket.client, socket.original);
  if (!forgotten && forgotten.error().code != Errc::not_found) return forgotten.error();
  return true;
}

}  // namespace imdsgate
