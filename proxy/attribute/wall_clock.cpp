#include "attribute/wall_clock.hpp"

#include <sys/timerfd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

namespace imdsgate {
namespace {

constexpr auto kDoubt = std::chrono::seconds(1);
constexpr int kReadings = 8;
constexpr auto kClose = std::chrono::microseconds(5);

WallClock::Reading read_both() {
  auto const now = std::chrono::steady_clock::now();
  auto const wall = std::chrono::system_clock::now();
  return {now, wall, std::chrono::steady_clock::now()};
}

}  // namespace

Result<WallClock> WallClock::open() {
  HeldFd timer(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<std::int32_t>::max();
  if (!timer ||
      ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) != 0) {
    return Error{Errc::system, std::string("timerfd: ") + std::strerror(errno)};
  }
  return WallClock(std::move(timer));
}

bool WallClock::was_set() const {
  std::uint64_t expirations = 0;
  return ::read(timer_.get(), &expirations, sizeof expirations) < 0 && errno == ECANCELED;
}

std::optional<WallClock::Steady> WallClock::steady(Wall moment) {
  auto const both = closest(read_both);
  return steady(moment, both.now, both.wall, was_set());
}

WallClock::Reading WallClock::closest(std::function<Reading()> const &read) {
  auto best = read();
  for (int more = kReadings - 1; more > 0 && best.after - best.now > kClose; --more) {
    auto const another = read();
    if (another.after - another.now < best.after - best.now) best = another;
  }
  return best;
}

std::optional<WallClock::Steady> WallClock::steady(Wall moment, Steady now, Wall wall, bool was_set) {
  if (was_set) set_ = now;
  if (set_ && now - *set_ < kDoubt) return std::nullopt;
  return now - (wall - moment);
}

}  // namespace imdsgate
