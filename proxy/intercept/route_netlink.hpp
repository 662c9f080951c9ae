// What route netlink tells, through libnl's caches. Included by intercept/*.cpp alone.
#pragma once

#include <linux/rtnetlink.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>

#include <memory>
#include <string>

#include "model/result.hpp"

namespace imdsgate {

struct FreeRouteSocket {
  void operator()(nl_sock *socket) const { nl_socket_free(socket); }
};
struct FreeRouteCache {
  void operator()(nl_cache *cache) const { nl_cache_free(cache); }
};
using RouteSocket = std::unique_ptr<nl_sock, FreeRouteSocket>;
using RouteCache = std::unique_ptr<nl_cache, FreeRouteCache>;

inline Error route_error(std::string const &what, int code) {
  return Error{Errc::system, what + ": " + nl_geterror(code)};
}

inline Result<RouteSocket> open_route_socket() {
  RouteSocket socket(nl_socket_alloc());
  if (!socket) return Error{Errc::system, "nl_socket_alloc"};
  if (int const code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0) return route_error("route netlink", code);
  return socket;
}

}  // namespace imdsgate
