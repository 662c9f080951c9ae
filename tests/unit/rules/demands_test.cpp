#include "rules/demands.hpp"

#include <gtest/gtest.h>

namespace imdsgate::eql {
namespace {

// field=text|pattern* joined by spaces, ~ behind a folded field's name; ! in front when that is not all.
std::string told(std::string const &text) {
  auto const compiled = compile_expression(text, {});
  auto const *query = std::get_if<Query>(&compiled);
  if (query == nullptr) return std::get<Problem>(compiled).text;
  std::string result = query->only_demands ? "" : "!";
  for (auto const &demand : query->demands) {
    result += (result.size() > 1 ? " " : "") + demand.field + (demand.folded ? "~=" : "=");
    for (auto const &any : demand.any_of) {
      result += (result.back() == '=' ? "" : "|") + any.text + (any.pattern ? "(*)" : "");
    }
  }
  return result;
}

TEST(Demands, AreWhatHasToBeTrueOutright) {
  EXPECT_EQ(told(R"(x == "a")"), "x=a");
  EXPECT_EQ(told(R"("a" == x)"), "x=a");
  EXPECT_EQ(told(R"(x == "a*")"), "x=a*");
  EXPECT_EQ(told(R"(x : ("a*", "b"))"), "x~=a*(*)|b");
  EXPECT_EQ(told(R"(x in ("a", "b"))"), "x=a|b");
  EXPECT_EQ(told(R"(x in~ ("a"))"), "x~=a");
  EXPECT_EQ(told(R"(x like "a?")"), "x=a?(*)");
  EXPECT_EQ(told(R"(x == 0)"), "!x=0");
  EXPECT_EQ(told(R"(y == "b" and x == "a")"), "x=a y=b");
  EXPECT_EQ(told(R"(x == "a" or x == "b")"), "x=a|b");
  EXPECT_EQ(told(R"(x == "a" or x : "b")"), "!x~=a|b");
  EXPECT_EQ(told(R"((x == "a" and y == "1") or (y == "2" and x == "b"))"), "!x=a|b y=1|2");
  EXPECT_EQ(told(R"(x : "a*" and x == "ab")"), "!x=ab");
}

TEST(Demands, AreNothingWhereNothingIsSaidOutright) {
  for (auto const *text :
       {R"(not x == "a")", R"(x != "a")", R"(x not in ("a"))", R"(x == y)", "x != null", "x == null",
        R"(x == "a" or y == "b")", R"(x regex "a")", R"(startsWith(x, "a"))", "true",
        R"(destination.ip == "1.2.3.4")", R"(x == "a" or true)", R"(x > "a")", R"(length(x) == 1)"}) {
    EXPECT_EQ(told(text), "!") << text;
  }
}

TEST(Demands, StandBesideWhatTheyDoNotSay) {
  EXPECT_EQ(told(R"(x == "a" and not y == "b")"), "!x=a");
  EXPECT_EQ(told(R"(x == "a" and (y == "b" or z == "c"))"), "!x=a");
  EXPECT_EQ(told(R"(not (x == "a" and y == "b") and z == "c")"), "!z=c");
}

}  // namespace
}  // namespace imdsgate::eql
