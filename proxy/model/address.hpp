// IP addresses and endpoints as plain values, without Asio, so that the pure files can compare and print
// them.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace imdsgate {

// 16 bytes in network order; an IPv4 address is held in its v4-mapped form (RFC 4291 §2.5.5.2), so that
// ::ffff:169.254.169.254 and 169.254.169.254 are equal by construction.
class Address {
 public:
  Address() = default;                                  // ::
  static Result<Address> parse(std::string_view text);  // inet_pton's forms; no scope, no brackets, no NUL
  static Address from_v4(std::array<std::uint8_t, 4> bytes);
  static Address from_v6(std::array<std::uint8_t, 16> bytes);

  bool is_v4() const;
  bool is_loopback() const;
  std::array<std::uint8_t, 4> v4() const;  // the last four bytes; meaningful when is_v4()
  std::array<std::uint8_t, 16> const &bytes() const { return bytes_; }
  std::string to_string() const;  // "169.254.169.254", "fd00:ec2::254"
  auto operator<=>(Address const &) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

struct Endpoint {
  Address address;
  std::uint16_t port = 0;
  std::string to_string() const;  // "169.254.169.254:80", "[fd00:ec2::254]:80"
  auto operator<=>(Endpoint const &) const = default;
};

}  // namespace imdsgate
