#include "attribute/netlink.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace imdsgate {
namespace {

// What an NLMSG_ERROR says, which is that all went well when its error is 0.
Result<void> acknowledged(nlmsghdr const *answer) {
  int const error = -static_cast<nlmsgerr const *>(nlmsg_data(answer))->error;
  if (error == 0) return {};
  if (error == ENOENT) return Error{Errc::not_found, "netlink: no such object"};
  return Error{Errc::system, std::string("netlink: ") + std::strerror(error)};
}

}  // namespace

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  NetlinkSocket socket(nl_socket_alloc());
  if (!socket.socket_) return Error{Errc::system, "nl_socket_alloc: out of memory"};
  if (int const error = nl_connect(socket.socket_.get(), protocol); error < 0) {
    return Error{Errc::system, std::string("netlink: ") + nl_geterror(error)};
  }
  return socket;
}

Result<void> NetlinkSocket::send(nl_msg *request, int flags) {
  auto *header = nlmsg_hdr(request);
  header->nlmsg_flags = static_cast<std::uint16_t>(flags);
  header->nlmsg_seq = ++sequence_;
  if (::send(nl_socket_get_fd(socket_.get()), header, header->nlmsg_len, 0) < 0) {
    return Error{Errc::system, std::string("netlink send: ") + std::strerror(errno)};
  }
  return {};
}

Result<int> NetlinkSocket::receive() {
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    auto const size =
        ::recvfrom(nl_socket_get_fd(socket_.get()), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC,
                   reinterpret_cast<sockaddr *>(&from), &from_size);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error{Errc::system, std::string("netlink receive: ") + std::strerror(errno)};
    auto *answer = reinterpret_cast<nlmsghdr *>(buffer_.data());
    // Only the kernel may answer, and only this question: any process can send to a netlink port.
    if (from.nl_pid != 0 || static_cast<std::size_t>(size) > buffer_.size()) continue;
    if (!nlmsg_ok(answer, static_cast<int>(size)) || answer->nlmsg_seq != sequence_) continue;
    bool const error = answer->nlmsg_type == NLMSG_ERROR;
    if (error && nlmsg_datalen(answer) < static_cast<int>(sizeof(nlmsgerr))) continue;
    return static_cast<int>(size);
  }
}

Result<nlmsghdr *> NetlinkSocket::get(nl_msg *request) {
  if (auto sent = send(request, NLM_F_REQUEST); !sent) return sent.error();
  if (auto const size = receive(); !size) return size.error();
  auto *answer = reinterpret_cast<nlmsghdr *>(buffer_.data());
  if (answer->nlmsg_type != NLMSG_ERROR) return answer;
  if (auto const verdict = acknowledged(answer); !verdict) return verdict.error();
  return Error{Errc::system, "netlink: no answer"};
}

Result<void> NetlinkSocket::change(nl_msg *request) {
  if (auto sent = send(request, NLM_F_REQUEST | NLM_F_ACK); !sent) return sent;
  if (auto const size = receive(); !size) return size.error();
  auto const *answer = reinterpret_cast<nlmsghdr const *>(buffer_.data());
  if (answer->nlmsg_type != NLMSG_ERROR) return Error{Errc::system, "netlink: not acknowledged"};
  return acknowledged(answer);
}

Result<void> NetlinkSocket::dump(nl_msg *request, std::function<void(nlmsghdr *)> const &each) {
  if (auto sent = send(request, NLM_F_REQUEST | NLM_F_DUMP); !sent) return sent;
  for (;;) {
    auto const size = receive();
    if (!size) return size.error();
    int left = *size;
    for (auto *message = reinterpret_cast<nlmsghdr *>(buffer_.data()); nlmsg_ok(message, left);
         message = nlmsg_next(message, &left)) {
      if (message->nlmsg_type == NLMSG_DONE) return {};
      if (message->nlmsg_type == NLMSG_ERROR) return acknowledged(message);
      each(message);
    }
  }
}

}  // namespace imdsgate
