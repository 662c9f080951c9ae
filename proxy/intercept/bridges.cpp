#include "intercept/bridges.hpp"

#include <netlink/route/link.h>
#include <netlink/route/route.h>

#include <set>

#include "intercept/route_netlink.hpp"

namespace imdsgate {
namespace {

void add_nexthop(rtnl_nexthop *nexthop, void *indices) {
  static_cast<std::set<int> *>(indices)->insert(rtnl_route_nh_get_ifindex(nexthop));
}

// The interfaces that some default route leads out of.
Result<std::set<int>> default_routes(nl_sock *socket) {
  std::set<int> indices;
  for (int const family : {AF_INET, AF_INET6}) {
    nl_cache *raw = nullptr;
    if (int const code = rtnl_route_alloc_cache(socket, family, 0, &raw); code < 0)
      return route_error("routes", code);
    RouteCache const cache(raw);
    for (auto *object = nl_cache_get_first(raw); object != nullptr; object = nl_cache_get_next(object)) {
      auto *const route = reinterpret_cast<rtnl_route *>(object);
      auto *const destination = rtnl_route_get_dst(route);
      bool const everywhere = destination == nullptr || nl_addr_get_prefixlen(destination) == 0;
      if (everywhere && rtnl_route_get_type(route) == RTN_UNICAST)
        rtnl_route_foreach_nexthop(route, add_nexthop, &indices);
    }
  }
  return indices;
}

}  // namespace

Result<std::vector<NamedInterface>> look_at_interfaces(std::span<std::string const> names) {
  std::vector<NamedInterface> found;
  if (names.empty()) return found;
  auto const socket = open_route_socket();
  if (!socket) return socket.error();
  auto const defaults = default_routes(socket->get());
  if (!defaults) return defaults.error();
  nl_cache *raw = nullptr;
  if (int const code = rtnl_link_alloc_cache(socket->get(), AF_UNSPEC, &raw); code < 0)
    return route_error("links", code);
  RouteCache const cache(raw);
  for (auto const &name : names) {
    NamedInterface interface { name, false, false, false };
    if (auto *const link = rtnl_link_get_by_name(raw, name.c_str())) {
      auto const *type = rtnl_link_get_type(link);
      interface.there = true;
      interface.bridge = type != nullptr && std::string_view(type) == "bridge";
      interface.default_route = defaults->contains(rtnl_link_get_ifindex(link));
      rtnl_link_put(link);
    }
    found.push_back(std::move(interface));
  }
  return found;
}

std::optional<std::string> why_not_bridge(NamedInterface const &interface) {
  std::string const key = "containers.bridges: " + interface.name;
  if (!interface.there) return std::nullopt;
  if (interface.default_route) {
    return key + " is an uplink (a default route leads out of it): a neighbour there must not be served";
  }
  if (!interface.bridge) return key + " is not a bridge";
  return std::nullopt;
}

std::vector<std::string> why_not_bridges(std::span<NamedInterface const> interfaces) {
  std::vector<std::string> lines;
  for (auto const &each : interfaces) {
    if (auto why = why_not_bridge(each)) lines.push_back(*std::move(why));
  }
  return lines;
}

}  // namespace imdsgate
