// Moments of CLOCK_REALTIME on CLOCK_MONOTONIC. However they are slewed, the two go at one rate
// (timekeeping.c): their distance changes only when the former is set, and of that the kernel tells
// (TFD_TIMER_CANCEL_ON_SET).
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "attribute/held_fd.hpp"
#include "model/result.hpp"

namespace imdsgate {

class WallClock {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  using Wall = std::chrono::system_clock::time_point;

  static Result<WallClock> open();

  // When `moment`, which is past, was. nullopt: the clock was set within the last second, and it may have
  // been before that.
  std::optional<Steady> steady(Wall moment);
  // The same at a given moment: `now`, then `wall`, were read, one after the other. If there was time in
  // between, the result is earlier than the truth, never later.
  std::optional<Steady> steady(Wall moment, Steady now, Wall wall, bool was_set);

  // Both clocks, read in this order.
  struct Reading {
    Steady now;
    Wall wall;
    Steady after;
  };
  // Of a few, the one with the least time in between: whoever reads them may be interrupted, for longer than it takes
  // from an exec to a connect(2).
  static Reading closest(std::function<Reading()> const &read);

 private:
  explicit WallClock(HeldFd timer) : timer_(std::move(timer)) {}
  bool was_set() const;  // since it was asked last

  HeldFd timer_;
  std::optional<Steady> set_;  // when that was noticed
};

}  // namespace imdsgate
