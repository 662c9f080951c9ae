#include "gateway/root_dialler.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "attribute/descriptors.hpp"
#include "gateway/dial_message.hpp"

namespace imdsgate {

namespace asio = boost::asio;

namespace {
constexpr auto kDeadline = std::chrono::seconds(5);  // it does not wait for the network: only for a processor

ConnectFailure no_dialler(std::string why) {
  return {Reason::upstream_unreachable, "the dialler of uid 0 " + std::move(why)};
}
}  // namespace

bool is_wireserver(Endpoint const &endpoint) {
  static Address const address = Address::parse(kWireServerAddress).value();
  return endpoint.address == address && std::ranges::find(kWireServerPorts, endpoint.port) != kWireServerPorts.end();
}

bool guards_wireserver(std::vector<Endpoint> const &endpoints) {
  return std::ranges::any_of(endpoints, is_wireserver);
}

struct RootDialler::Waiter {
  asio::steady_timer wake;
  std::int32_t error = 0;
  HeldFd socket{};
};

RootDialler::RootDialler(asio::any_io_executor loop, HelperProcess process, std::function<void()> gone)
    : process_(std::move(process)), control_(std::move(loop), process_.control.release()), gone_(std::move(gone)) {
  wait();
}

asio::awaitable<boost::system::result<int, ConnectFailure>> RootDialler::dial(Endpoint remote, std::uint32_t mark) {
  if (!control_.is_open()) co_return no_dialler("has ended");
  DialRequest request{++sequence_, mark, remote.port, 0};
  // It answers before it takes the next one, so what it does not take at once has waited for the last hundreds.
  if (::send(control_.native_handle(), &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof request) {
    co_return no_dialler(std::string("takes no question: ") + std::strerror(errno));
  }
  Waiter waiter{asio::steady_timer(control_.get_executor(), kDeadline)};
  waiting_[request.sequence] = &waiter;
  (void)co_await waiter.wake.async_wait(asio::as_tuple(asio::use_awaitable));  // what counts is the answer
  waiting_.erase(request.sequence);
  if (waiter.socket) co_return waiter.socket.release();
  if (waiter.error == 0) co_return no_dialler(control_.is_open() ? "did not answer in time" : "has ended");
  co_return no_dialler(std::string("could not: ") + std::strerror(waiter.error));
}

void RootDialler::wait() {
  control_.async_wait(control_.wait_read, [this](boost::system::error_code ec) {
    if (ec) return;
    if (take_answers()) return wait();
    end();
    gone_();
  });
}

// False: the other end is closed, or speaks nonsense.
bool RootDialler::take_answers() {
  for (;;) {
    DialAnswer reply;
    std::array<HeldFd, 1> fds;
    auto const size = receive_with_descriptors(control_.native_handle(), &reply, sizeof reply, fds);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    if (size != sizeof reply) return false;
    auto const found = waiting_.find(reply.sequence);
    if (found == waiting_.end()) continue;  // too late: the socket closes here
    found->second->error = reply.error;
    found->second->socket = std::move(fds[0]);
    found->second->wake.cancel();
  }
}

void RootDialler::end() {
  boost::system::error_code ignored;  // closing cannot fail in a way that matters
  control_.close(ignored);
  for (auto const &[number, waiter] : waiting_) waiter->wake.cancel();
}

void RootDialler::close() {
  end();
}

}  // namespace imdsgate
