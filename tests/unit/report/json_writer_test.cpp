#include "report/json_writer.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

namespace imdsgate {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_escaped(out, text);
  return out;
}

TEST(JsonWriter, EscapesWhatCannotBeShown) {
  using namespace std::string_view_literals;
  struct Case {
    std::string_view text, expected;
  } const cases[] = {
      {"plain /latest/meta-data", "plain /latest/meta-data"},
      {"a\"b\\c", R"(a\"b\\c)"},
      {"\n\r\t\x1b[31m\0"sv, R"(\n\r\t\u001b[31m\u0000)"},
      {"\x7f", R"(\u007f)"},
      {"grüße 日本 😀", "grüße 日本 😀"},
      {"\xc2\x85\xc2\xad", R"(\u0085\u00ad)"},
      {"\u2028\u2029", R"(\u2028\u2029)"},
      {"\u202a\u202e\u2066\u2069\u200e\u200f\u061c\ufeff\u200b",
       R"(\u202a\u202e\u2066\u2069\u200e\u200f\u061c\ufeff\u200b)"},
      {"\U000e0041", R"(\udb40\udc41)"},
      {"</script>", R"(\u003c/script>)"},
      {"\xff", R"(\\xff)"},
      {"\xc0\xaf", R"(\\xc0\\xaf)"},                    // overlong '/'
      {"\xe0\x80\xaf", R"(\\xe0\\x80\\xaf)"},           // overlong, three bytes
      {"\xed\xa0\x80", R"(\\xed\\xa0\\x80)"},           // a surrogate
      {"\xf4\x90\x80\x80", R"(\\xf4\\x90\\x80\\x80)"},  // above U+10FFFF
      {"\xe2\x82", R"(\\xe2\\x82)"},                    // cut short
      {"\xe2\x82x", R"(\\xe2\\x82x)"},
      {"a\xc3", R"(a\\xc3)"},
      {"", ""},
  };
  for (auto const &[text, expected] : cases) EXPECT_EQ(escaped(text), expected);
}

TEST(JsonWriter, Structure) {
  std::string out;
  JsonWriter json(out);
  json.begin_object()
      .member("a", 1)
      .key("b")
      .begin_array()
      .value("x")
      .value(true)
      .begin_object()
      .end_object();
  json.value(-5)
      .end_array()
      .member("c", false)
      .member("d", std::uint64_t{18446744073709551615u})
      .end_object();
  EXPECT_EQ(out, R"({"a":1,"b":["x",true,{},-5],"c":false,"d":18446744073709551615})");
}

bool one_safe_line(std::string_view line) {
  for (char const c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

TEST(JsonWriter, RandomBytesAreStrictJsonOnOneLine) {
  std::mt19937 random(20240229);
  // Mostly lead and continuation bytes, so that well-formed sequences and near misses both occur.
  auto const byte = [&] {
    switch (random() % 4) {
      case 0: return static_cast<char>(random());
      case 1: return static_cast<char>(0x80 | random() % 0x40);
      case 2: return static_cast<char>(0xc0 | random() % 0x40);
      default: return static_cast<char>(random() % 0x80);
    }
  };
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 48, '\0');
    for (char &c : text) c = byte();
    std::string line;
    JsonWriter(line).begin_object().member(text, text).end_object();
    boost::json::error_code ec;
    auto const parsed = boost::json::parse(line, ec);  // the default options: strict, UTF-8 validated
    ASSERT_FALSE(ec) << line;
    ASSERT_TRUE(one_safe_line(line)) << line;
    ASSERT_EQ(parsed.as_object().size(), 1u);
    for (auto const *hidden : {"\u202e", "\u2028", "\u200f", "\ufeff", "\u0085"}) {
      ASSERT_EQ(line.find(hidden), std::string::npos) << line;
    }
  }
}

}  // namespace
}  // namespace imdsgate
