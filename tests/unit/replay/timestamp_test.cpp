#include "replay/timestamp.hpp"

#include <gtest/gtest.h>

#include <utility>

using imdsgate::recorded_time;

namespace {

constexpr std::int64_t kMidnight = 1'795'478'400'000;  // 2026-11-24T00:00:00Z

TEST(RecordedTime, Iso8601) {
  std::pair<char const *, std::int64_t> const cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"2026-11-24T00:00:00.000Z", kMidnight},
      {"2026-11-24t05:45:29.054z", kMidnight + 20'729'054},
      {"2026-11-24 05:45:29.054", kMidnight + 20'729'054},
      {"2026-11-24T05:45:29,054Z", kMidnight + 20'729'054},
      {"2026-11-24T05:45:29.0549999999Z", kMidnight + 20'729'054},
      {"2026-11-24T05:45:29.5Z", kMidnight + 20'729'500},
      {"2026-11-24T05:45:29.05Z", kMidnight + 20'729'050},
      {"2026-11-24T05:45:29Z", kMidnight + 20'729'000},
      {"2026-11-24T05:45Z", kMidnight + 20'700'000},
      {"2026-11-24", kMidnight},
      {"2026-11-24T07:45:29.054+02:00", kMidnight + 20'729'054},
      {"2026-11-24T07:45:29.054+0200", kMidnight + 20'729'054},
      {"2026-11-24T07:45:29.054+02", kMidnight + 20'729'054},
      {"2026-11-23T20:15:29.054-09:30", kMidnight + 20'729'054},
      {"20261124T054529.054Z", kMidnight + 20'729'054},
      {"20261124T0545Z", kMidnight + 20'700'000},
      {"2026-11-24T23:59:60Z", kMidnight + 86'399'000},
      {"1969-12-31T23:59:59.9999Z", -1},
      {"2024-02-29T00:00:00Z", 1'709'164'800'000},
      {"0000-01-01T00:00:00Z", -62'167'219'200'000},
      {"9999-12-31T23:59:59.999Z", 253'402'300'799'999},
  };
  for (auto const &[text, milliseconds] : cases) EXPECT_EQ(recorded_time(text), milliseconds) << text;
}

TEST(RecordedTime, MillisecondsSinceTheEpoch) {
  std::pair<char const *, std::int64_t> const cases[] = {
      {"0", 0},
      {"1795478400000", kMidnight},
      {"1795478400000.999", kMidnight},
      {"1.7954784e12", kMidnight},
      {"-0.001", -1},
      {"-1", -1},
      {"-1.5", -2},
      {"20261124", 20'261'124},
      {"1e3", 1'000},
  };
  for (auto const &[text, milliseconds] : cases) EXPECT_EQ(recorded_time(text), milliseconds) << text;
}

TEST(RecordedTime, NothingElse) {
  for (char const *const text : {"",
                                 " ",
                                 "yesterday",
                                 "2026-11-24T",
                                 "2026-11-24T05",
                                 "2026-11-24T05:45:29.Z",
                                 "2026-11-24T05:45:29.5ZZ",
                                 "2026-11-24T05:45:29+2",
                                 "2026-11-24T05:45:29+02:",
                                 "2026-11-24T05:45:29+24:00",
                                 "2026-11-24T24:00:00Z",
                                 "2026-11-24T05:60:00Z",
                                 "2026-11-24T05:45:61Z",
                                 "2026-02-29T00:00:00Z",
                                 "2026-13-01T00:00:00Z",
                                 "2026-00-01",
                                 "2026-1-1T00:00:00Z",
                                 "26-11-24T00:00:00Z",
                                 "2026-1124T00:00:00Z",
                                 " 2026-11-24T00:00:00Z",
                                 "2026-11-24T00:00:00Z ",
                                 "0000-01-01T00:00:00+01:00",
                                 "9999-12-31T23:59:59-01:00",
                                 "253402300800000",
                                 "9223372036854775808",
                                 "1e400",
                                 "nan",
                                 "inf",
                                 "+1",
                                 "0x10",
                                 "1 "}) {
    EXPECT_EQ(recorded_time(text), std::nullopt) << text;
  }
}

}  // namespace
