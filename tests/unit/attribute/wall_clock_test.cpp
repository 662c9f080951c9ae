#include "attribute/wall_clock.hpp"

#include <gtest/gtest.h>
#include <sys/timex.h>

#include <cerrno>

namespace imdsgate {
namespace {

using namespace std::chrono_literals;

WallClock::Steady const kNow{100s};
WallClock::Wall const kWall{1'700'000'000s};

WallClock opened() {
  auto clock = WallClock::open();
  EXPECT_TRUE(clock);
  return std::move(*clock);
}

TEST(WallClock, SaysWhenAMomentWas) {
  auto clock = opened();
  EXPECT_EQ(clock.steady(kWall - 3ms, kNow, kWall, false), kNow - 3ms);
  EXPECT_EQ(clock.steady(kWall - 3ms, kNow, kWall + 2ms, false), kNow - 5ms) << "read late: rather too early";
}

TEST(WallClock, DoesNotSayItWithinASecondOfHavingBeenSet) {
  auto clock = opened();
  EXPECT_FALSE(clock.steady(kWall, kNow, kWall, true));
  EXPECT_FALSE(clock.steady(kWall, kNow + 999ms, kWall, false));
  EXPECT_EQ(clock.steady(kWall, kNow + 1s, kWall, false), kNow + 1s);
}

TEST(WallClock, AgreesWithTheKernels) {
  auto clock = opened();
  auto const before = std::chrono::steady_clock::now();
  auto const moment = clock.steady(std::chrono::system_clock::now());
  ASSERT_TRUE(moment);
  EXPECT_LE(*moment, std::chrono::steady_clock::now());
  EXPECT_GT(*moment, before - 1s);
}

// By one nanosecond, which nobody misses.
TEST(WallClock, NoticesThatItIsSet) {
  auto clock = opened();
  ASSERT_TRUE(clock.steady(std::chrono::system_clock::now()));
  timex step{};
  step.modes = ADJ_SETOFFSET | ADJ_NANO;
  step.time.tv_usec = 1;  // of ns
  if (::adjtimex(&step) < 0) {
    ASSERT_EQ(errno, EPERM);
    GTEST_SKIP() << "setting the clock needs CAP_SYS_TIME";
  }
  EXPECT_FALSE(clock.steady(std::chrono::system_clock::now()));
}

}  // namespace
}  // namespace imdsgate
