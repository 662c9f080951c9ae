#include "intercept/listening.hpp"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <algorithm>
#include <memory>
#include <string>

namespace imdsgate {
namespace {

struct FreeSocket {
  void operator()(nl_sock *socket) const { nl_socket_free(socket); }
};

struct Dump {
  std::uint16_t port;
  std::vector<ListeningSocket> found;
};

int on_socket(nl_msg *message, void *argument) {
  auto &dump = *static_cast<Dump *>(argument);
  if (nlmsg_datalen(nlmsg_hdr(message)) < static_cast<int>(sizeof(inet_diag_msg))) return NL_OK;
  auto const *socket = static_cast<inet_diag_msg const *>(nlmsg_data(nlmsg_hdr(message)));
  if (ntohs(socket->id.idiag_sport) != dump.port) return NL_OK;
  ListeningSocket each;
  each.uid = socket->idiag_uid;
  each.inode = socket->idiag_inode;
  auto const *bytes = reinterpret_cast<std::uint8_t const *>(socket->id.idiag_src);
  if (socket->idiag_family == AF_INET) {
    std::array<std::uint8_t, 4> four{};
    std::copy_n(bytes, 4, four.begin());
    each.address = Address::from_v4(four);
  } else {
    std::array<std::uint8_t, 16> sixteen{};
    std::copy_n(bytes, 16, sixteen.begin());
    each.address = Address::from_v6(sixteen);
  }
  dump.found.push_back(each);
  return NL_OK;
}

}  // namespace

Result<std::vector<ListeningSocket>> listening_sockets(std::uint16_t port) {
  Dump dump{port, {}};
  std::unique_ptr<nl_sock, FreeSocket> const socket(nl_socket_alloc());
  if (!socket) return Error{Errc::system, "nl_socket_alloc"};
  int code = nl_connect(socket.get(), NETLINK_SOCK_DIAG);
  nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, &on_socket, &dump);
  for (int const family : {AF_INET, AF_INET6}) {
    inet_diag_req_v2 request{};
    request.sdiag_family = static_cast<std::uint8_t>(family);
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = 1U << TCP_LISTEN;
    request.id.idiag_sport = htons(port);
    if (code >= 0) {
      code = nl_send_simple(socket.get(), SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof request);
    }
    if (code >= 0) code = nl_recvmsgs_default(socket.get());
  }
  if (code < 0) return Error{Errc::system, std::string("sock_diag: ") + nl_geterror(code)};
  return std::move(dump.found);
}

}  // namespace imdsgate
