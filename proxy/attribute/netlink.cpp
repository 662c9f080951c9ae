#include "attribute/netlink.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace imdsgate {

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  NetlinkSocket socket(nl_socket_alloc());
  if (!socket.socket_) return Error{Errc::system, "nl_socket_alloc: out of memory"};
  if (int const error = nl_connect(socket.socket_.get(), protocol); error < 0) {
    return Error{Errc::system, std::string("netlink: ") + nl_geterror(error)};
  }
  return socket;
}

Result<nlmsghdr *> NetlinkSocket::get(nl_msg *request) {
  int const fd = nl_socket_get_fd(socket_.get());
  auto *header = nlmsg_hdr(request);
  header->nlmsg_flags = NLM_F_REQUEST;
  header->nlmsg_seq = ++sequence_;
  if (::send(fd, header, header->nlmsg_len, 0) < 0) {
    return Error{Errc::system, std::string("netlink send: ") + std::strerror(errno)};
  }
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    auto const size = ::recvfrom(fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC,
                                 reinterpret_cast<sockaddr *>(&from), &from_size);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error{Errc::system, std::string("netlink receive: ") + std::strerror(errno)};
    auto *answer = reinterpret_cast<nlmsghdr *>(buffer_.data());
    // Only the kernel may answer, and only this question: any process can send to a netlink port.
    if (from.nl_pid != 0 || static_cast<std::size_t>(size) > buffer_.size()) continue;
    if (!nlmsg_ok(answer, static_cast<int>(size)) || answer->nlmsg_seq != sequence_) continue;
    if (answer->nlmsg_type != NLMSG_ERROR) return answer;
    if (nlmsg_datalen(answer) < static_cast<int>(sizeof(nlmsgerr))) continue;
    int const error = -static_cast<nlmsgerr const *>(nlmsg_data(answer))->error;
    if (error == ENOENT) return Error{Errc::not_found, "netlink: no such object"};
    return Error{Errc::system, std::string("netlink: ") + std::strerror(error)};
  }
}

}  // namespace imdsgate
