#include "act/watchdog.hpp"

#include <boost/asio/steady_timer.hpp>

namespace imdsgate {

using Clock = std::chrono::steady_clock;

struct Watchdog::State {
  boost::asio::steady_timer timer;
  std::function<void()> on_expiry;
  Clock::time_point deadline = Clock::time_point::max();
  bool waiting = false;
  bool expired = false;
};

Watchdog::Watchdog(boost::asio::any_io_executor executor, std::function<void()> on_expiry)
    : state_(std::make_shared<State>(
          State{boost::asio::steady_timer(std::move(executor)), std::move(on_expiry)})) {}

Watchdog::~Watchdog() {
  disarm();
  state_->on_expiry = nullptr;
  state_->timer.cancel();
}

void Watchdog::expires_after(Duration duration) {
  state_->deadline = Clock::now() + duration;
  state_->expired = false;
  if (!state_->waiting || state_->deadline < state_->timer.expiry()) arm(state_);
}

void Watchdog::disarm() { state_->deadline = Clock::time_point::max(); }

bool Watchdog::expired() const { return state_->expired; }

void Watchdog::arm(std::shared_ptr<State> const &state) {
  state->waiting = true;
  state->timer.expires_at(state->deadline);
  state->timer.async_wait([state](boost::system::error_code code) {
    if (code) return;  // re-armed for an earlier deadline, or the owner is gone
    state->waiting = false;
    if (state->deadline == Clock::time_point::max()) return;
    if (Clock::now() < state->deadline) return arm(state);
    state->deadline = Clock::time_point::max();
    state->expired = true;
    if (state->on_expiry) state->on_expiry();
  });
}

}  // namespace imdsgate
