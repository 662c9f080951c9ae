// One netlink socket, one request at a time. The kernel answers sock_diag and ctnetlink lookups within
// send(2), so that the answer is there when it returns: nothing here waits.
#pragma once

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/result.hpp"

namespace imdsgate {

struct NlMsgFree {
  void operator()(nl_msg *message) const { nlmsg_free(message); }
};
using NlMsgPtr = std::unique_ptr<nl_msg, NlMsgFree>;

class NetlinkSocket {
 public:
  // In the network namespace of the calling thread, which it stays in. `protocol`: NETLINK_SOCK_DIAG, …
  static Result<NetlinkSocket> open(int protocol);

  // Sends one request of `type` and returns its first answer, valid until the next call; not_found for
  // ENOENT.
  Result<nlmsghdr *> get(nl_msg *request);

 private:
  struct Free {
    void operator()(nl_sock *socket) const { nl_socket_free(socket); }
  };
  explicit NetlinkSocket(nl_sock *socket) : socket_(socket), buffer_(16u << 10) {}
  std::unique_ptr<nl_sock, Free> socket_;
  std::vector<std::uint8_t> buffer_;
  std::uint32_t sequence_ = 0;
};

}  // namespace imdsgate
