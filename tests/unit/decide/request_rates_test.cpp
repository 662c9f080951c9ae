#include "decide/request_rates.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

RequestRates::Time const kStart{std::chrono::hours(50)};

void ask(RequestRates &rates, std::string_view who, int times, RequestRates::Time at) {
  for (int i = 0; i < times; ++i) rates.count(who, at);
}

TEST(RequestRates, TellOnceOfAShareThatIsTakenWithinTheWindow) {
  RequestRates rates;
  for (int second = 0; second < 10; ++second) ask(rates, "a", 10, kStart + seconds(second));
  auto const now = kStart + seconds(9);
  EXPECT_FALSE(rates.look("a", 101, std::nullopt, now).over_share);
  EXPECT_TRUE(rates.look("a", 100, std::nullopt, now).over_share);
  EXPECT_FALSE(rates.look("a", 100, std::nullopt, now).over_share) << "told already";
  EXPECT_FALSE(rates.look("b", 1, std::nullopt, now).over_share);
  ask(rates, "a", 100, now + minutes(4));
  EXPECT_FALSE(rates.look("a", 100, std::nullopt, now + minutes(4)).over_share);
  ask(rates, "a", 100, now + minutes(5));
  EXPECT_TRUE(rates.look("a", 100, std::nullopt, now + minutes(5)).over_share);
}

TEST(RequestRates, SlideTheWindow) {
  RequestRates rates;
  ask(rates, "a", 60, kStart);
  ask(rates, "a", 39, kStart + seconds(9));
  EXPECT_TRUE(rates.look("a", 99, std::nullopt, kStart + seconds(9)).over_share);
  RequestRates later;
  ask(later, "a", 60, kStart);
  ask(later, "a", 39, kStart + seconds(10));
  EXPECT_FALSE(later.look("a", 40, std::nullopt, kStart + seconds(10)).over_share)
      << "the first second is out";
  EXPECT_FALSE(later.look("a", 1, std::nullopt, kStart + minutes(1)).over_share);
}

TEST(RequestRates, HoldToARate) {
  RequestRates rates;
  auto const over = [&](RequestRates::Time at) { return rates.look("a", 1000, 5, at).over_rate; };
  EXPECT_FALSE(over(kStart));
  ask(rates, "a", 4, kStart + milliseconds(500));
  EXPECT_FALSE(over(kStart + milliseconds(500)));
  ask(rates, "a", 1, kStart + milliseconds(500));
  EXPECT_TRUE(over(kStart + milliseconds(500)));
  EXPECT_TRUE(over(kStart + milliseconds(1100))) << "9 tenths of five, and one";
  EXPECT_FALSE(over(kStart + milliseconds(1300)));
  EXPECT_FALSE(rates.look("a", 1000, std::nullopt, kStart + milliseconds(500)).over_rate);
}

TEST(RequestRates, FollowSoManyProcessesAndForgetTheQuiet) {
  RequestRates rates;
  for (std::size_t i = 0; i < RequestRates::kMost; ++i) rates.count("p" + std::to_string(i), kStart);
  rates.count("late", kStart + seconds(1));
  EXPECT_EQ(rates.untracked(), 1u);
  rates.count("p0", kStart + seconds(9));
  rates.count("late", kStart + seconds(10));
  EXPECT_EQ(rates.untracked(), 1u);
  EXPECT_EQ(rates.size(), 2u);
}

}  // namespace
}  // namespace imdsgate
