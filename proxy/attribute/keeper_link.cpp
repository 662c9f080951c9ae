#include "attribute/keeper_link.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace imdsgate {
namespace {

// The two descriptors that come with a worker; anything else is closed.
NewWorker take_descriptors(msghdr &message, pid_t pid) {
  NewWorker worker;
  auto const *header = CMSG_FIRSTHDR(&message);
  std::array<int, 2> fds{-1, -1};
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof fds)) {
    std::memcpy(fds.data(), CMSG_DATA(header), sizeof fds);
  }
  worker.socket.reset(fds[0]);
  worker.pidfd.reset(fds[1]);
  worker.pid = worker.socket ? pid : 0;
  return worker;
}

}  // namespace

KeeperLink::KeeperLink(boost::asio::any_io_executor loop, ProberProcess process, Events events)
    : process_(std::move(process)),
      control_(std::move(loop), process_.control.release()),
      events_(std::move(events)) {
  wait();
}

bool KeeperLink::send(KeeperRequest const &request) {
  return ::send(control_.native_handle(), &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) ==
         sizeof request;
}

bool KeeperLink::request_worker() {
  return send({KeeperRequest::What::new_worker, 0});
}

void KeeperLink::kill(pid_t worker) {
  // A keeper that takes no message is dead or dying, and its workers with it.
  (void)send({KeeperRequest::What::kill, worker});
}

void KeeperLink::wait() {
  control_.async_wait(control_.wait_read, [this](boost::system::error_code ec) {
    if (ec) return;
    if (take_answers()) return wait();
    auto const gone = events_.gone;  // the call may destroy us
    gone();
  });
}

bool KeeperLink::take_answers() {
  for (;;) {
    KeeperAnswer answer;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
    iovec part{&answer, sizeof answer};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto const size = ::recvmsg(control_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    if (size != sizeof answer) return false;
    events_.worker(take_descriptors(message, answer.worker));
  }
}

}  // namespace imdsgate
