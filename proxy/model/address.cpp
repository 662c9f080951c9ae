#include "model/address.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace imdsgate {
namespace {
constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}

Result<Address> Address::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  bool const fits = text.size() < sizeof terminated && text.find('\0') == text.npos;
  if (fits) std::copy(text.begin(), text.end(), terminated);
  std::array<std::uint8_t, 4> four{};
  if (fits && inet_pton(AF_INET, terminated, four.data()) == 1) return from_v4(four);
  std::array<std::uint8_t, 16> sixteen{};
  if (fits && inet_pton(AF_INET6, terminated, sixteen.data()) == 1) return from_v6(sixteen);
  return Error{Errc::malformed, "not an IP address: " + std::string(text)};
}

Address Address::from_v4(std::array<std::uint8_t, 4> bytes) {
  Address address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes_.begin());
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin() + 12);
  return address;
}

Address Address::from_v6(std::array<std::uint8_t, 16> bytes) {
  Address address;
  address.bytes_ = bytes;
  return address;
}

bool Address::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin());
}

bool Address::is_loopback() const {
  if (is_v4()) return bytes_[12] == 127;
  Address one;
  one.bytes_[15] = 1;
  return *this == one;
}

std::array<std::uint8_t, 4> Address::v4() const {
  return {bytes_[12], bytes_[13], bytes_[14], bytes_[15]};
}

std::string Address::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4()) {
    inet_ntop(AF_INET, bytes_.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
  }
  return text;
}

std::string Endpoint::to_string() const {
  std::string const host = address.is_v4() ? address.to_string() : '[' + address.to_string() + ']';
  return host + ':' + std::to_string(port);
}

}  // namespace imdsgate
