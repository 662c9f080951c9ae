#include "intercept/saved_syn.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>

namespace imdsgate {
namespace {

constexpr std::size_t kIpv6Header = 40;
constexpr std::size_t kMostOfHeaders = 60 + 60;  // IPv4's and TCP's at their longest

// Where the TCP header begins.
std::optional<std::size_t> transport_header(std::span<std::uint8_t const> packet) {
  if (packet.empty()) return std::nullopt;
  switch (packet[0] >> 4) {
    case 4:
      if (packet.size() < 20 || packet[9] != IPPROTO_TCP) return std::nullopt;
      return (packet[0] & 0x0fu) * 4u;
    case 6:
      if (packet.size() < kIpv6Header || packet[6] != IPPROTO_TCP) return std::nullopt;
      return kIpv6Header;
    default: return std::nullopt;
  }
}

}  // namespace

void keep_syns(int listener) {
  int const on = 1;
  ::setsockopt(listener, IPPROTO_TCP, TCP_SAVE_SYN, &on,
               sizeof on);  // without it nobody behind a bridge is named
}

std::optional<std::uint32_t> saved_syn_sequence(int accepted) {
  std::array<std::uint8_t, kMostOfHeaders> packet{};
  socklen_t size = packet.size();
  if (::getsockopt(accepted, IPPROTO_TCP, TCP_SAVED_SYN, packet.data(), &size) != 0) return std::nullopt;
  return syn_sequence({packet.data(), size});
}

std::optional<std::uint32_t> syn_sequence(std::span<std::uint8_t const> packet) {
  auto const at = transport_header(packet);
  if (!at || packet.size() < *at + 8) return std::nullopt;
  std::uint32_t sequence = 0;
  for (std::size_t i = 4; i < 8; ++i) sequence = sequence << 8 | packet[*at + i];
  return sequence;
}

}  // namespace imdsgate
