#include "act/watchdog.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace imdsgate {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class WatchdogTest : public testing::Test {
 protected:
  // Until nothing is left to wait for, at most so long.
  void run() { loop_.restart(), loop_.run_for(std::chrono::seconds(10)); }
  boost::asio::io_context loop_{1};
  int expiries_ = 0;
  Clock::time_point expired_at_;
  Watchdog watchdog_{loop_.get_executor(), [this] { ++expiries_, expired_at_ = Clock::now(); }};
};

TEST_F(WatchdogTest, RunsOnceForADeadline) {
  auto const start = Clock::now();
  watchdog_.expires_after(milliseconds(5));
  EXPECT_FALSE(watchdog_.expired());
  run();
  EXPECT_EQ(expiries_, 1);
  EXPECT_TRUE(watchdog_.expired());
  EXPECT_GE(expired_at_ - start, milliseconds(5));
}

TEST_F(WatchdogTest, ALaterDeadlineReplacesAnEarlierOne) {
  auto const start = Clock::now();
  watchdog_.expires_after(milliseconds(5));
  watchdog_.expires_after(milliseconds(60));
  run();
  EXPECT_EQ(expiries_, 1);
  EXPECT_GE(expired_at_ - start, milliseconds(60));
}

TEST_F(WatchdogTest, AnEarlierDeadlineReplacesALaterOne) {
  auto const start = Clock::now();
  watchdog_.expires_after(hours(1));
  watchdog_.expires_after(milliseconds(5));
  run();
  EXPECT_EQ(expiries_, 1);
  EXPECT_LT(expired_at_ - start, std::chrono::seconds(10));
}

TEST_F(WatchdogTest, ADisarmedOneStaysStill) {
  watchdog_.expires_after(milliseconds(5));
  watchdog_.disarm();
  run();
  EXPECT_EQ(expiries_, 0);
  EXPECT_FALSE(watchdog_.expired());
}

TEST_F(WatchdogTest, CanBeUsedAgain) {
  watchdog_.expires_after(milliseconds(1));
  run();
  watchdog_.expires_after(milliseconds(1));
  EXPECT_FALSE(watchdog_.expired()) << "of the earlier deadline";
  run();
  EXPECT_EQ(expiries_, 2);
  watchdog_.disarm();
  watchdog_.expires_after(milliseconds(1));
  run();
  EXPECT_EQ(expiries_, 3);
}

TEST_F(WatchdogTest, MayBeMovedFromItsOwnExpiry) {
  int left = 3;
  std::optional<Watchdog> again;
  again.emplace(loop_.get_executor(), [&] {
    if (--left > 0) again->expires_after(milliseconds(1));
  });
  again->expires_after(milliseconds(1));
  run();
  EXPECT_EQ(left, 0);
}

TEST_F(WatchdogTest, OneThatIsGoneDoesNotRun) {
  bool ran = false;
  {
    Watchdog gone(loop_.get_executor(), [&] { ran = true; });
    gone.expires_after(milliseconds(0));
  }
  run();
  EXPECT_FALSE(ran);
}

TEST_F(WatchdogTest, ADeadlineMovedWhenItsTimerHasAlreadyFired) {
  watchdog_.expires_after(milliseconds(0));
  boost::asio::post(loop_, [&] { watchdog_.expires_after(hours(1)); });
  loop_.run_for(milliseconds(20));
  // Whichever came first, the deadline that stands is an hour away.
  EXPECT_FALSE(watchdog_.expired());
  EXPECT_LE(expiries_, 1);
}

}  // namespace
}  // namespace imdsgate
