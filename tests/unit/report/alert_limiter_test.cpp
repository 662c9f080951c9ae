#include "report/alert_limiter.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class AlertLimiterTest : public ::testing::Test {
 protected:
  bool admit(std::string const &executable, std::string const &process = "p1",
             std::string const &name = "rule") {
    AlertSubject alert;
    alert.name = name;
    alert.max_alerts = 3;
    alert.interval = minutes(5);
    alert.executable = executable;
    alert.user = "33";
    alert.path_class = path_class_;
    alert.process = process;
    return limiter_.admit(alert, now_);
  }

  AlertLimiter limiter_;
  std::string path_class_ = "general";
  AlertLimiter::Time now_{seconds(1000)};
};

TEST_F(AlertLimiterTest, HoldsBackBeyondTheMaximumAndSumsUp) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit("/usr/bin/curl"));
  EXPECT_FALSE(admit("/usr/bin/curl", "p1"));
  EXPECT_FALSE(admit("/usr/bin/curl", "p2"));
  EXPECT_FALSE(admit("/usr/bin/curl", "p2"));
  EXPECT_TRUE(limiter_.ended(now_ + minutes(5) - seconds(1)).empty());
  auto const summaries = limiter_.ended(now_ + minutes(5));
  ASSERT_EQ(summaries.size(), 1u);
  EXPECT_EQ(summaries[0].name, "rule");
  EXPECT_EQ(summaries[0].suppressed, 3u);
  EXPECT_EQ(summaries[0].emitted, 3u);
  EXPECT_EQ(summaries[0].processes, 2u);
  EXPECT_FALSE(summaries[0].more_processes);
  EXPECT_TRUE(limiter_.ended(now_ + minutes(60)).empty());  // once
  EXPECT_TRUE(admit("/usr/bin/curl"));                      // a new interval
}

TEST_F(AlertLimiterTest, DecoysDoNotHideTheFirstOfAnotherKind) {
  for (int i = 0; i < 100; ++i) admit("/usr/bin/curl");
  EXPECT_TRUE(admit("/tmp/thief"));
  EXPECT_FALSE(admit("/tmp/thief"));
  path_class_ = "credentials";
  EXPECT_TRUE(admit("/usr/bin/curl"));
  EXPECT_FALSE(admit("/usr/bin/curl"));
}

TEST_F(AlertLimiterTest, RulesAreIndependentAndQuietOnesLeaveNothing) {
  for (int i = 0; i < 5; ++i) admit("/a", "p", "one");
  EXPECT_TRUE(admit("/a", "p", "two"));
  auto const summaries = limiter_.end_all();
  ASSERT_EQ(summaries.size(), 1u);
  EXPECT_EQ(summaries[0].name, "one");
  EXPECT_EQ(limiter_.buckets(), 0u);
}

TEST_F(AlertLimiterTest, MemoryIsBoundedAndNeverHidesANewKind) {
  for (std::size_t i = 0; i < AlertLimiter::kMaxCombinations + 500; ++i) {
    ASSERT_TRUE(admit("/tmp/decoy" + std::to_string(i)));
  }
  EXPECT_TRUE(admit("/tmp/thief"));
  EXPECT_FALSE(admit("/tmp/decoy0"));
  auto const summaries = limiter_.end_all();
  ASSERT_EQ(summaries.size(), 1u);
  EXPECT_EQ(summaries[0].untracked, 501u);
}

TEST_F(AlertLimiterTest, DistinctProcessesAreBounded) {
  for (int i = 0; i < 3; ++i) admit("/a");
  for (std::size_t i = 0; i < 1000; ++i) EXPECT_FALSE(admit("/a", std::to_string(i)));
  auto const summaries = limiter_.end_all();
  EXPECT_EQ(summaries[0].suppressed, 1000u);
  EXPECT_EQ(summaries[0].processes, AlertLimiter::kMaxProcesses);
  EXPECT_TRUE(summaries[0].more_processes);
}

TEST_F(AlertLimiterTest, NamesAreBounded) {
  for (std::size_t i = 0; i < AlertLimiter::kMaxBuckets + 100; ++i) admit("/a", "p", "r" + std::to_string(i));
  EXPECT_LE(limiter_.buckets(), AlertLimiter::kMaxBuckets + 1);
}

TEST_F(AlertLimiterTest, NegativeMaximumIsNoLimit) {
  AlertSubject alert;
  alert.name = "rule";
  alert.max_alerts = -1;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limiter_.admit(alert, now_));
}

// Of a recording: the years 0 and 9999.
TEST_F(AlertLimiterTest, TimesThatNanosecondsHaveNoRoomFor) {
  for (std::int64_t const start : {-62'167'219'200'000, 253'402'300'799'000}) {
    now_ = AlertLimiter::Time(std::chrono::milliseconds(start));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(admit("/usr/bin/curl"), i < 3);
    EXPECT_TRUE(limiter_.ended(now_ + minutes(5) - std::chrono::milliseconds(1)).empty());
    auto const summaries = limiter_.ended(now_ + minutes(5));
    ASSERT_EQ(summaries.size(), 1u);
    EXPECT_EQ(summaries[0].end, now_ + minutes(5));
  }
}

}  // namespace
}  // namespace imdsgate
