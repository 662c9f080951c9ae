#include "attribute/sock_diag.hpp"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace imdsgate {
namespace {

constexpr int kInetDiagCgroupId = 21;  // INET_DIAG_CGROUP_ID, Linux 5.8
// Where something can still be received. Clients keep connections for long that the other end has closed (CLOSE_WAIT).
constexpr std::uint32_t kOpen =
    1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2;

void put_address(std::uint32_t (&words)[4], Address const &address, bool v4) {
  if (v4) {
    auto const four = address.v4();
    std::memcpy(words, four.data(), four.size());
  } else {
    std::memcpy(words, address.bytes().data(), sizeof words);
  }
}

Endpoint endpoint_of(std::uint32_t const (&words)[4], std::uint16_t port, int family) {
  if (family == AF_INET) {
    std::array<std::uint8_t, 4> four{};
    std::memcpy(four.data(), words, four.size());
    return {Address::from_v4(four), ntohs(port)};
  }
  std::array<std::uint8_t, 16> sixteen{};
  std::memcpy(sixteen.data(), words, sixteen.size());
  return {Address::from_v6(sixteen), ntohs(port)};
}

Refusal not_found(Endpoint const &client, Endpoint const &original) {
  return {Reason::socket_not_found, "no socket " + client.to_string() + " to " + original.to_string()};
}

Refusal refusal_of(Error const &error) {
  return {Reason::unreadable, error.detail};
}

// The one TCP socket with these ends.
inet_diag_req_v2 exactly(Endpoint const &client, Endpoint const &original, unsigned interface) {
  bool const v4 = client.address.is_v4() && original.address.is_v4();
  inet_diag_req_v2 request{};
  request.sdiag_family = v4 ? AF_INET : AF_INET6;  // AF_INET finds v4-mapped sockets of AF_INET6 too
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = ~0u;
  request.id.idiag_sport = htons(client.port);
  request.id.idiag_dport = htons(original.port);
  put_address(request.id.idiag_src, client.address, v4);
  put_address(request.id.idiag_dst, original.address, v4);
  request.id.idiag_if = interface;
  request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return request;
}

SocketId socket_id(inet_diag_msg const &info, nlattr *cgroup) {
  SocketId socket;
  socket.inode = info.idiag_inode;
  socket.cookie = info.id.idiag_cookie[0] | static_cast<std::uint64_t>(info.id.idiag_cookie[1]) << 32;
  socket.uid = info.idiag_uid;
  if (cgroup && nla_len(cgroup) == sizeof(std::uint64_t)) socket.cgroup = nla_get_u64(cgroup);
  return socket;
}

struct NameIndexFree {
  void operator()(struct if_nameindex *list) const { if_freenameindex(list); }
};

// As large as it is: a message of the default size is a page, cleared for each question.
template <class Request>
NlMsgPtr question_of(Request request, int type = SOCK_DIAG_BY_FAMILY) {
  NlMsgPtr message(nlmsg_alloc_size(static_cast<std::size_t>(nlmsg_total_size(sizeof request))));
  if (!message || !nlmsg_put(message.get(), 0, 0, type, 0, 0) ||
      nlmsg_append(message.get(), &request, sizeof request, NLMSG_ALIGNTO) < 0) {
    return nullptr;
  }
  return message;
}

}  // namespace

Result<SockDiag> SockDiag::open() {
  auto socket = NetlinkSocket::open(NETLINK_SOCK_DIAG);
  if (!socket) return socket.error();
  return SockDiag(std::move(*socket));
}

Answered<SocketId> SockDiag::find_tcp(Endpoint const &client, Endpoint const &original) {
  auto found = get_tcp(client, original, 0);
  if (found || found.error().reason != Reason::socket_not_found) return found;
  // A socket bound to a device (SO_BINDTODEVICE) is found on that device only, and nothing says which it is.
  std::unique_ptr<struct if_nameindex, NameIndexFree> const interfaces(if_nameindex());
  if (!interfaces) return found;
  for (auto const *interface = interfaces.get(); interface->if_index != 0; ++interface) {
    auto bound = get_tcp(client, original, interface->if_index);
    if (!bound && bound.error().reason == Reason::socket_not_found) continue;
    if (!bound) return bound;
    if (found && found->inode != bound->inode) {
      return Refusal{Reason::holder_uncertain, "two sockets with these addresses, on two devices"};
    }
    found = bound;
  }
  return found;
}

Answered<SocketId> SockDiag::get_tcp(Endpoint const &client, Endpoint const &original, unsigned interface) {
  auto const message = question_of(exactly(client, original, interface));
  if (!message) return Refusal{Reason::unreadable, "out of memory"};
  auto const answer = socket_.get(message.get());
  if (!answer && answer.error().code == Errc::not_found) return not_found(client, original);
  if (!answer) return refusal_of(answer.error());

  nlattr *attributes[kInetDiagCgroupId + 1] = {};
  if (nlmsg_parse(*answer, sizeof(inet_diag_msg), attributes, kInetDiagCgroupId, nullptr) < 0) {
    return Refusal{Reason::unreadable, "sock_diag: malformed answer"};
  }
  auto const &info = *static_cast<inet_diag_msg const *>(nlmsg_data(*answer));
  // Without such a connection the kernel falls back to a listener on that port (facts of inet_lookup).
  // One that is still connecting is nobody's whom accept() gave us: who had these addresses before has reset
  // his.
  bool const exact = info.idiag_state != TCP_LISTEN && info.idiag_state != TCP_SYN_SENT &&
                     endpoint_of(info.id.idiag_src, info.id.idiag_sport, info.idiag_family) == client &&
                     endpoint_of(info.id.idiag_dst, info.id.idiag_dport, info.idiag_family) == original;
  if (!exact) return not_found(client, original);
  // A closed socket has no inode any more, and its uid reads 0.
  if (info.idiag_inode == 0) return Refusal{Reason::socket_gone, client.to_string() + " was closed"};

  return socket_id(info, attributes[kInetDiagCgroupId]);
}

Result<std::vector<TcpSocket>> SockDiag::connections_to(std::span<Endpoint const> destinations) {
  std::vector<TcpSocket> found;
  auto const keep = [&](nlmsghdr *message) {
    nlattr *attributes[kInetDiagCgroupId + 1] = {};
    if (nlmsg_parse(message, sizeof(inet_diag_msg), attributes, kInetDiagCgroupId, nullptr) < 0) return;
    auto const &info = *static_cast<inet_diag_msg const *>(nlmsg_data(message));
    TcpSocket socket;
    socket.original = endpoint_of(info.id.idiag_dst, info.id.idiag_dport, info.idiag_family);
    if (info.idiag_inode == 0 || std::ranges::find(destinations, socket.original) == destinations.end()) return;
    socket.client = endpoint_of(info.id.idiag_src, info.id.idiag_sport, info.idiag_family);
    socket.id = socket_id(info, attributes[kInetDiagCgroupId]);
    socket.interface = info.id.idiag_if;
    if (auto *mark = attributes[INET_DIAG_MARK]; mark && nla_len(mark) == sizeof(std::uint32_t)) {
      socket.mark = nla_get_u32(mark);
    }
    found.push_back(socket);
  };
  for (int const family : {AF_INET, AF_INET6}) {
    inet_diag_req_v2 request{};
    request.sdiag_family = static_cast<std::uint8_t>(family);
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = kOpen;
    auto const message = question_of(request);
    if (!message) return Error{Errc::system, "out of memory"};
    if (auto dumped = socket_.dump(message.get(), keep); !dumped) return dumped.error();
  }
  return found;
}

Result<void> SockDiag::destroy(TcpSocket const &socket) {
  auto request = exactly(socket.client, socket.original, socket.interface);
  request.id.idiag_cookie[0] = static_cast<std::uint32_t>(socket.id.cookie);
  request.id.idiag_cookie[1] = static_cast<std::uint32_t>(socket.id.cookie >> 32);
  auto const message = question_of(request, SOCK_DESTROY);
  if (!message) return Error{Errc::system, "out of memory"};
  return socket_.change(message.get());
}

Answered<SocketId> SockDiag::find_unix_peer(std::uint64_t accepted_inode) {
  unix_diag_req request{};
  request.sdiag_family = AF_UNIX;
  request.udiag_states = ~0u;
  request.udiag_ino = static_cast<std::uint32_t>(accepted_inode);
  request.udiag_show = UDIAG_SHOW_PEER;
  request.udiag_cookie[0] = request.udiag_cookie[1] = INET_DIAG_NOCOOKIE;

  auto const message = question_of(request);
  if (!message) return Refusal{Reason::unreadable, "out of memory"};
  auto const answer = socket_.get(message.get());
  if (!answer && answer.error().code == Errc::not_found) {
    return Refusal{Reason::socket_not_found, "no AF_UNIX socket with this inode"};
  }
  if (!answer) return refusal_of(answer.error());
  nlattr *attributes[UNIX_DIAG_MAX + 1] = {};
  if (nlmsg_parse(*answer, sizeof(unix_diag_msg), attributes, UNIX_DIAG_MAX, nullptr) < 0) {
    return Refusal{Reason::unreadable, "unix_diag: malformed answer"};
  }
  auto const &info = *static_cast<unix_diag_msg const *>(nlmsg_data(*answer));
  auto *peer = attributes[UNIX_DIAG_PEER];
  if (info.udiag_ino != request.udiag_ino)
    return Refusal{Reason::socket_not_found, "unix_diag: another socket"};
  if (!peer || nla_len(peer) != sizeof(std::uint32_t) || nla_get_u32(peer) == 0) {
    return Refusal{Reason::socket_gone, "the peer's end was closed"};
  }
  SocketId socket;
  socket.inode = nla_get_u32(peer);
  socket.cookie = info.udiag_cookie[0] | static_cast<std::uint64_t>(info.udiag_cookie[1]) << 32;
  return socket;
}

}  // namespace imdsgate
