#include "intercept/address_watch.hpp"

#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace imdsgate {

void AddressWatch::Free::operator()(nl_sock *socket) const {
  nl_socket_free(socket);
}

Result<AddressWatch> AddressWatch::open() {
  AddressWatch watch(nl_socket_alloc());
  auto *const socket = watch.socket_.get();
  if (socket == nullptr) return Error{Errc::system, "nl_socket_alloc"};
  int code = nl_connect(socket, NETLINK_ROUTE);  // opens with SOCK_CLOEXEC
  if (code >= 0)
    code = nl_socket_add_memberships(socket, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, 0);
  if (code >= 0) code = nl_socket_set_nonblocking(socket);
  if (code < 0) return Error{Errc::system, std::string("a route netlink socket: ") + nl_geterror(code)};
  return watch;
}

int AddressWatch::fd() const {
  return nl_socket_get_fd(socket_.get());
}

// Any message of these groups is a change; what it says is read anew by a dump, so only the sender is looked
// at.
Result<bool> AddressWatch::drain() {
  bool changed = false;
  std::array<char, 32768> buffer;
  for (;;) {
    sockaddr_nl from{};
    socklen_t size = sizeof from;
    auto const got = ::recvfrom(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                reinterpret_cast<sockaddr *>(&from), &size);
    if (got > 0) {
      if (from.nl_pid == 0) changed = true;
    } else if (got < 0 && errno == ENOBUFS) {
      changed = true;
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && errno != EAGAIN) {
      return Error{Errc::system, std::string("route netlink: ") + std::strerror(errno)};
    } else {
      return changed;
    }
  }
}

}  // namespace imdsgate
