#include "attribute/wall_clock.hpp"

#include <gtest/gtest.h>
#include <sys/timex.h>

#include <cerrno>
#include <vector>

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

// Each reading takes so long.
WallClock::Reading closest_of(std::vector<std::chrono::microseconds> const &spans, std::size_t &taken) {
  return WallClock::closest([&]() -> WallClock::Reading {
    auto const span = spans.at(taken++);
    return {kNow, kWall + span, kNow + span};
  });
}

TEST(WallClock, IsReadAgainWhereTheReaderWasInterrupted) {
  std::size_t taken = 0;
  EXPECT_EQ(closest_of({1us, 0us}, taken).wall, kWall + 1us);
  EXPECT_EQ(taken, 1u) << "close enough";
  taken = 0;
  EXPECT_EQ(closest_of({9ms, 8us, 30us, 2us, 1us}, taken).wall, kWall + 2us);
  EXPECT_EQ(taken, 4u);
  taken = 0;
  EXPECT_EQ(closest_of({9ms, 9ms, 9ms, 7us, 9ms, 9ms, 9ms, 9ms}, taken).wall, kWall + 7us);
  EXPECT_EQ(taken, 8u) << "not for ever";
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
