#include "act/client_watch.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/socket_base.hpp>
#include <boost/asio/steady_timer.hpp>

namespace imdsgate {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {
// A half-closed client that goes away sends nothing more: only asking again tells.
constexpr auto kAskAgain = std::chrono::seconds(1);

enum class Ended { no, half_closed, gone };

Ended ended(int fd) {
  char byte = 0;
  auto const got = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) return Ended::no;  // the next request, sent early
  if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Ended::no : Ended::gone;
  pollfd state{fd, POLLIN, 0};
  ::poll(&state, 1, 0);
  return (state.revents & (POLLHUP | POLLERR)) != 0 ? Ended::gone : Ended::half_closed;
}
}  // namespace

struct ClientWatch::State {
  Connection *client;
  std::function<bool()> alive;
  std::function<void()> on_gone;
  asio::steady_timer timer;
};

ClientWatch::ClientWatch(Connection &client, std::function<bool()> alive, std::function<void()> on_gone)
    : state_(std::make_shared<State>(State{&client, std::move(alive), std::move(on_gone),
                                           asio::steady_timer(client.socket().get_executor())})) {
  if (client.buffered().empty()) wait(state_);
}

ClientWatch::~ClientWatch() {
  error_code ignored;  // a closed socket has nothing to cancel
  state_->client->socket().cancel(ignored);
  state_->client = nullptr;
  state_->timer.cancel();
}

void ClientWatch::wait(std::shared_ptr<State> const &state) {
  state->client->socket().async_wait(asio::socket_base::wait_read, [state](error_code code) {
    if (state->client == nullptr) return;
    if (code) return state->on_gone();  // the session was told to end
    switch (ended(state->client->socket().native_handle())) {
      case Ended::no: return;
      case Ended::gone: return state->on_gone();
      case Ended::half_closed: return look_again(state);
    }
  });
}

void ClientWatch::look_again(std::shared_ptr<State> const &state) {
  if (!state->alive()) return state->on_gone();
  state->timer.expires_after(kAskAgain);
  state->timer.async_wait([state](error_code code) {
    if (code || state->client == nullptr) return;
    if (ended(state->client->socket().native_handle()) == Ended::gone) return state->on_gone();
    look_again(state);
  });
}

}  // namespace imdsgate
