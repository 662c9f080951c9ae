#include "model/sockaddr.hpp"

#include <netinet/in.h>

#include <cstring>

namespace imdsgate {

socklen_t to_sockaddr(Endpoint const &endpoint, sockaddr_storage &storage) {
  storage = {};
  if (endpoint.address.is_v4()) {
    auto &in = reinterpret_cast<sockaddr_in &>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    auto const bytes = endpoint.address.v4();
    std::memcpy(&in.sin_addr, bytes.data(), bytes.size());
    return sizeof in;
  }
  auto &in6 = reinterpret_cast<sockaddr_in6 &>(storage);
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(endpoint.port);
  std::memcpy(&in6.sin6_addr, endpoint.address.bytes().data(), 16);
  return sizeof in6;
}

Endpoint from_sockaddr(sockaddr_storage const &storage) {
  if (storage.ss_family == AF_INET) {
    auto const &in = reinterpret_cast<sockaddr_in const &>(storage);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
    return {Address::from_v4(bytes), ntohs(in.sin_port)};
  }
  if (storage.ss_family != AF_INET6) return {};
  auto const &in6 = reinterpret_cast<sockaddr_in6 const &>(storage);
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
  return {Address::from_v6(bytes), ntohs(in6.sin6_port)};
}

}  // namespace imdsgate
