// One netlink socket, one request at a time. The kernel answers sock_diag and ctnetlink requests within
// send(2), and goes on with a dump within recvmsg(2), so that an answer is there when it is asked for: nothing
// here waits.
#pragma once

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <cstdint>
#include <functional>
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
  // Sends one request that changes something and has no answer but that it was done; not_found for ENOENT.
  Result<void> change(nl_msg *request);
  // Sends one request that many objects answer, and hands each to `each`.
  Result<void> dump(nl_msg *request, std::function<void(nlmsghdr *)> const &each);

 private:
  struct Free {
    void operator()(nl_sock *socket) const { nl_socket_free(socket); }
  };
  explicit NetlinkSocket(nl_sock *socket) : socket_(socket), buffer_(16u << 10) {}
  Result<void> send(nl_msg *request, int flags);
  Result<int> receive();  // bytes of the next datagram in buffer_, which begins with an answer to the request
  std::unique_ptr<nl_sock, Free> socket_;
  std::vector<std::uint8_t> buffer_;
  std::uint32_t sequence_ = 0;
};

}  // namespace imdsgate
