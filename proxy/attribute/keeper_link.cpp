#include "attribute/keeper_link.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "attribute/descriptors.hpp"

namespace imdsgate {

KeeperLink::KeeperLink(boost::asio::any_io_executor loop, HelperProcess process, Events events)
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
  if (!send({KeeperRequest::What::new_worker, 0})) return false;
  asked_.push_back(events_.worker);
  return true;
}

bool KeeperLink::request_tracker(std::span<int const> fds, std::function<void(NewWorker)> made) {
  KeeperRequest const request{KeeperRequest::What::new_tracker, 0};
  if (!send_with_descriptors(control_.native_handle(), &request, sizeof request, fds)) return false;
  asked_.push_back(std::move(made));
  return true;
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
    std::array<HeldFd, 2> fds;
    auto const size = receive_with_descriptors(control_.native_handle(), &answer, sizeof answer, fds);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    if (size != sizeof answer || asked_.empty()) return false;
    auto const made = std::move(asked_.front());
    asked_.pop_front();
    made({fds.back() ? answer.worker : 0, std::move(fds[0]), std::move(fds[1])});
  }
}

}  // namespace imdsgate
