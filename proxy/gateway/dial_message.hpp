// What the gateway and uid 0's dialler say to each other: a datagram each way for each connection.
#pragma once

#include <cstdint>

namespace imdsgate {

struct DialRequest {
  std::uint32_t sequence = 0;
  std::uint32_t mark = 0;
  std::uint16_t port = 0;  // of WireServer: there is no other address to dial
  std::uint16_t unused = 0;
};

// With the socket as SCM_RIGHTS, unless it failed.
struct DialAnswer {
  std::uint32_t sequence = 0;
  std::int32_t error = 0;  // errno
};

}  // namespace imdsgate
