// One deadline for one connection, moved often and cheaply: a timer is only re-armed when the deadline comes nearer.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace imdsgate {

class Watchdog {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // on_expiry runs on the loop, once for each deadline that passes; it should cancel what is waited for.
  Watchdog(boost::asio::any_io_executor executor, std::function<void()> on_expiry);
  ~Watchdog();
  Watchdog(Watchdog const &) = delete;
  Watchdog &operator=(Watchdog const &) = delete;

  void expires_after(Duration duration);  // replaces the deadline, and forgets that an earlier one passed
  void disarm();
  bool expired() const;

 private:
  struct State;
  static void arm(std::shared_ptr<State> const &state);
  std::shared_ptr<State> state_;
};

}  // namespace imdsgate
