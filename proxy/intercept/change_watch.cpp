#include "intercept/change_watch.hpp"

#include <linux/netfilter/nfnetlink.h>
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

void ChangeWatch::Free::operator()(nl_sock *socket) const {
  nl_socket_free(socket);
}

Result<ChangeWatch> ChangeWatch::of_addresses() {
  return open(NETLINK_ROUTE, {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR});
}

Result<ChangeWatch> ChangeWatch::of_nf_tables() {
  return open(NETLINK_NETFILTER, {NFNLGRP_NFTABLES});
}

Result<ChangeWatch> ChangeWatch::open(int protocol, std::initializer_list<int> groups) {
  ChangeWatch watch(nl_socket_alloc());
  auto *const socket = watch.socket_.get();
  if (socket == nullptr) return Error{Errc::system, "nl_socket_alloc"};
  int code = nl_connect(socket, protocol);  // opens with SOCK_CLOEXEC
  for (int const group : groups) {
    if (code >= 0) code = nl_socket_add_memberships(socket, group, 0);
  }
  if (code >= 0) code = nl_socket_set_nonblocking(socket);
  if (code < 0) return Error{Errc::system, std::string("a netlink socket: ") + nl_geterror(code)};
  return watch;
}

int ChangeWatch::fd() const {
  return nl_socket_get_fd(socket_.get());
}

// Any message of these groups is a change; what it says is read anew by a dump, so only the sender is looked
// at.
Result<bool> ChangeWatch::drain() {
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
      return Error{Errc::system, std::string("netlink: ") + std::strerror(errno)};
    } else {
      return changed;
    }
  }
}

}  // namespace imdsgate
