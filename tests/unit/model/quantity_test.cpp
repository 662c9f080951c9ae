#include "model/quantity.hpp"

#include <gtest/gtest.h>

#include "model/utf8.hpp"

using namespace imdsgate;
using namespace std::chrono_literals;

namespace {

TEST(Quantity, Durations) {
  EXPECT_EQ(parse_duration("500ms"), 500ms);
  EXPECT_EQ(parse_duration("5s"), 5s);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("1h"), 1h);
  EXPECT_EQ(parse_duration("2d"), 48h);
  EXPECT_EQ(parse_duration("0s"), 0s);
  for (char const *bad : {"", "5", "m", "5 m", " 5m", "5m ", "-5m", "+5m", "5.5s", "5M", "1w",
                          "99999999999999999d", "18446744073709551616ms", "0x5s"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
}

TEST(Quantity, Sizes) {
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("4096B"), 4096u);
  EXPECT_EQ(parse_size("16KiB"), 16384u);
  EXPECT_EQ(parse_size("64MiB"), 67108864u);
  EXPECT_EQ(parse_size("1GiB"), 1073741824u);
  for (char const *bad : {"", "KiB", "1kb", "1KB", "1 MiB", "-1", "1.5MiB", "9999999999999GiB"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(Quantity, Timestamps) {
  std::chrono::sys_seconds const noon = std::chrono::sys_days(std::chrono::year{2024} / 2 / 29) + 12h;
  EXPECT_EQ(parse_timestamp("2024-02-29T12:00:00Z"), noon);
  EXPECT_EQ(parse_timestamp("2024-02-29T14:00:00+02:00"), noon);
  EXPECT_EQ(parse_timestamp("2024-02-29T06:30:00-05:30"), noon);
  EXPECT_EQ(parse_timestamp("2024-02-29t12:00:00.25z"), noon + 250ms);
  EXPECT_EQ(parse_timestamp("2016-12-31T23:59:60Z"),
            std::chrono::sys_days(std::chrono::year{2017} / 1 / 1) - 1s);
  for (char const *bad :
       {"", "2024-02-29", "2023-02-29T12:00:00Z", "2024-02-29T12:00:00", "2024-02-29 12:00:00Z",
        "2024-02-29T24:00:00Z", "2024-02-29T12:60:00Z", "2024-02-29T12:00:61Z", "2024-02-29T12:00:00.Z",
        "2024-02-29T12:00:00+2:00", "2024-02-29T12:00:00Zx", "2024-13-01T00:00:00Z", "9999-01-01T00:00:00Z",
        "2024-2-29T12:00:00Z"}) {
    EXPECT_FALSE(parse_timestamp(bad)) << bad;
  }
}

TEST(Quantity, Unsigned) {
  EXPECT_EQ(parse_unsigned("0"), 0u);
  EXPECT_EQ(parse_unsigned("0x1d5"), 0x1d5u);
  EXPECT_EQ(parse_unsigned("18446744073709551615"), ~std::uint64_t{0});
  for (char const *bad : {"", "0x", "-1", "+1", "1 ", "18446744073709551616", "1e3", "0xg"}) {
    EXPECT_FALSE(parse_unsigned(bad)) << bad;
  }
}

TEST(Utf8, RefusesWhatRfc3629Refuses) {
  using namespace std::string_view_literals;
  EXPECT_FALSE(first_invalid_utf8("a\0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"sv));
  EXPECT_EQ(first_invalid_utf8("ab\xff"), 2u);
  for (std::string_view const bad :
       {"\x80"sv, "\xc0\xaf"sv, "\xc3"sv, "\xe0\x80\x80"sv, "\xed\xa0\x80"sv, "\xf0\x80\x80\x80"sv,
        "\xf4\x90\x80\x80"sv, "\xf5\x80\x80\x80"sv, "\xe2\x82"sv}) {
    EXPECT_EQ(first_invalid_utf8(bad), 0u);
  }
  for (char32_t const character : {U'a', U'é', U'€', U'😀', U'\0', char32_t{0x10FFFF}}) {
    std::string text;
    EXPECT_TRUE(append_utf8(text, character));
    EXPECT_EQ(utf8_length(text), text.size());
  }
  std::string text;
  EXPECT_FALSE(append_utf8(text, 0x110000));
  EXPECT_FALSE(append_utf8(text, 0xD800));
  EXPECT_EQ(text, "");
}

}  // namespace
