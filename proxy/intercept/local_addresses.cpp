#include "intercept/local_addresses.hpp"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "intercept/route_netlink.hpp"

namespace imdsgate {
namespace {

struct Link {
  std::string name;
  bool listenable = false;
};

// iptables takes a trailing + for a wildcard and has no way to quote; such names are left out of the redirect
// by interface, not of the host's own addresses.
bool writable_name(std::string const &name) {
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

Result<std::map<int, Link>> read_links(nl_sock *socket) {
  nl_cache *raw = nullptr;
  if (int const code = rtnl_link_alloc_cache(socket, AF_UNSPEC, &raw); code < 0)
    return route_error("links", code);
  RouteCache const cache(raw);
  std::map<int, Link> links;
  for (auto *object = nl_cache_get_first(raw); object != nullptr; object = nl_cache_get_next(object)) {
    auto *const link = reinterpret_cast<rtnl_link *>(object);
    char const *name = rtnl_link_get_name(link);
    if (name == nullptr) continue;
    unsigned const flags = rtnl_link_get_flags(link);
    bool const listenable = (flags & IFF_UP) != 0 && (flags & IFF_LOOPBACK) == 0 && writable_name(name);
    links[rtnl_link_get_ifindex(link)] = {name, listenable};
  }
  return links;
}

std::optional<Address> address_of(rtnl_addr *object) {
  auto *const local = rtnl_addr_get_local(object);
  if (local == nullptr) return std::nullopt;
  auto const *bytes = static_cast<std::uint8_t const *>(nl_addr_get_binary_addr(local));
  if (nl_addr_get_family(local) == AF_INET && nl_addr_get_len(local) == 4) {
    std::array<std::uint8_t, 4> four{};
    std::copy_n(bytes, 4, four.begin());
    return Address::from_v4(four);
  }
  if (nl_addr_get_family(local) == AF_INET6 && nl_addr_get_len(local) == 16) {
    std::array<std::uint8_t, 16> sixteen{};
    std::copy_n(bytes, 16, sixteen.begin());
    return Address::from_v6(sixteen);
  }
  return std::nullopt;
}

// How much an address is to be preferred for listening; nullopt: it may be gone soon, or is not to be bound
// yet.
std::optional<int> preference(rtnl_addr *object) {
  unsigned const flags = rtnl_addr_get_flags(object);
  if (rtnl_addr_get_scope(object) != RT_SCOPE_UNIVERSE) return std::nullopt;
  if ((flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)) != 0) return std::nullopt;
  return (flags & IFA_F_SECONDARY) != 0 ? 1 : 0;  // on IPv6 the same bit is IFA_F_TEMPORARY
}

}  // namespace

bool LocalAddresses::contains(Address const &address) const {
  return std::ranges::any_of(all, [&](InterfaceAddress const &each) { return each.address == address; });
}

Result<LocalAddresses> read_local_addresses() {
  auto const socket = open_route_socket();
  if (!socket) return socket.error();
  auto const links = read_links(socket->get());
  if (!links) return links.error();
  nl_cache *raw = nullptr;
  if (int const code = rtnl_addr_alloc_cache(socket->get(), &raw); code < 0)
    return route_error("addresses", code);
  RouteCache const cache(raw);

  LocalAddresses local;
  std::map<std::pair<std::string, bool>, std::pair<int, Address>>
      best;  // (interface, IPv4?) → the one to listen on
  for (auto *object = nl_cache_get_first(raw); object != nullptr; object = nl_cache_get_next(object)) {
    auto *const entry = reinterpret_cast<rtnl_addr *>(object);
    auto const address = address_of(entry);
    auto const link = links->find(rtnl_addr_get_ifindex(entry));
    if (!address || link == links->end()) continue;
    local.all.push_back({link->second.name, *address});
    if (!address->is_v4() && address->is_loopback()) local.ipv6 = true;
    auto const preferred = preference(entry);
    if (!link->second.listenable || !preferred) continue;
    auto const [at, added] = best.try_emplace({link->second.name, address->is_v4()}, *preferred, *address);
    if (!added && *preferred < at->second.first) at->second = {*preferred, *address};
  }
  for (auto const &[key, value] : best) local.listenable.push_back({key.first, value.second});
  std::ranges::sort(local.all);
  return local;
}

}  // namespace imdsgate
