#include "decide/guarded_host.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "decide/ascii_case.hpp"
#include "decide/path_classes.hpp"
#include "decide/readings.hpp"

namespace imdsgate {
namespace {

bool is_slash(char c) {
  return c == '/' || c == '\\';
}

// userinfo@host:port without the rest, the brackets and the dot at the end.
std::string host_of(std::string_view authority) {
  if (auto const at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
  if (authority.starts_with('[')) {
    authority = authority.substr(1, authority.find(']') - 1);
  } else {
    authority = authority.substr(0, authority.find(':'));
  }
  if (auto const zone = authority.find('%'); zone != std::string_view::npos)
    authority = authority.substr(0, zone);
  if (authority.ends_with('.')) authority.remove_suffix(1);
  return folded(authority);
}

// Also the notations of one, two or three numbers, octal and hexadecimal, that libc and others still read.
std::optional<Address> address_of(std::string const &host) {
  in_addr four{};
  if (inet_aton(host.c_str(), &four) == 1) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &four.s_addr, bytes.size());
    return Address::from_v4(bytes);
  }
  auto const address = Address::parse(host);
  return address ? std::optional(address.value()) : std::nullopt;
}

bool is_name_of(Service const &service, std::string const &host) {
  auto const lists = [&](std::vector<std::string> const &names) {
    return std::ranges::find(names, host) != names.end();
  };
  return lists(service.hosts) || lists(service.catalogue->hosts());
}

bool is_guarded(Policy const &policy, std::string const &host) {
  auto const address = address_of(host);
  auto const is_address = [&](Endpoint const &endpoint) { return address && endpoint.address == *address; };
  return std::ranges::any_of(policy.services, [&](Service const &service) {
    return is_address(service.endpoint) || is_name_of(service, host) ||
           std::ranges::any_of(service.catalogue->endpoints(), is_address);
  });
}
}  // namespace

// An address only as people write one: nobody's resolver gave a client the other notations. IPv6 with
// brackets or, as some clients do, without.
bool known_host(Policy const &policy, Service const &service, std::string_view host) {
  auto const colon = host.rfind(':');
  bool const bare = Address::parse(host).has_value();
  auto const bracket = host.rfind(']');
  if (!bare && colon != std::string_view::npos && (bracket == std::string_view::npos || bracket < colon)) {
    auto const port = host.substr(colon + 1);
    if (!port.empty() && port != std::to_string(service.endpoint.port)) return false;
    host.remove_suffix(host.size() - colon);
  }
  bool const bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.ends_with('.')) host.remove_suffix(1);
  auto const address = Address::parse(host);
  if (!address) return !bracketed && is_name_of(service, folded(host));
  return std::ranges::any_of(policy.services, [&](Service const &other) {
    return other.provider == service.provider && other.endpoint.address == address.value();
  });
}

bool names_guarded_host(Policy const &policy, std::string_view target) {
  auto const first = std::ranges::find_if_not(target, is_slash);
  auto const slashes = static_cast<std::size_t>(first - target.begin());
  if (slashes < 2) return false;
  target.remove_prefix(slashes);
  auto const authority = target.substr(0, target.find_first_of("/\\?"));
  return is_guarded(policy, host_of(authority)) || is_guarded(policy, host_of(percent_decode(authority)));
}

}  // namespace imdsgate
