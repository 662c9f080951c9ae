#include "replay/event_reader.hpp"

#include <gtest/gtest.h>

#include "unit/replay/rules.hpp"

using namespace imdsgate;

namespace {

// Whether an event query holds for one line; the line has to be an event.
bool holds(std::string const &condition, std::string const &line, std::string const &category = "any") {
  eql::Engine engine(rules_of({category + " where " + condition}), {});
  EventReader reader(engine.fields());
  eql::Row row(engine.fields());
  auto const time = reader.read(line, row);
  if (!time) {
    ADD_FAILURE() << time.error().detail << " in " << line;
    return false;
  }
  std::vector<eql::Engine::Match> matches;
  engine.feed(row, {*time, 0}, matches);
  return !matches.empty();
}

std::string problem(std::string const &line) {
  eql::Engine engine(rules_of({"any where a.b == \"x\""}), {});
  EventReader reader(engine.fields());
  eql::Row row(engine.fields());
  auto const time = reader.read(line, row);
  return time ? "" : time.error().detail;
}

std::string event(std::string const &members) {
  return "{\"@timestamp\":1," + members + "}";
}

TEST(EventReader, KeysAreNestedOrDottedOrBoth) {
  for (std::string const members :
       {R"("a":{"b":{"c":"x"}})", R"("a.b.c":"x")", R"("a.b":{"c":"x"})", R"("a":{"b.c":"x"})",
        R"("a":{"z":1},"a.b.c":"x")", R"("a":{"b":{"y":{"c":"q"},"c":"x"}})", R"("\u0061.b":{"\u0063":"x"})",
        R"("a":[{"b":{"c":"x"}}])", R"("a":[{"b":1},[[{"b":[{"c":["q",["x"]]}]}]]])",
        R"("a.b.c":"q","a":{"b":{"c":"x"}})"}) {
    EXPECT_TRUE(holds("a.b.c == \"x\"", event(members))) << members;
  }
  for (std::string const members :
       {R"("a":{"c":{"b":"x"}})", R"("b":{"c":"x"})", R"("a.b":"x")", R"("a":{"b":{"c":{"d":"x"}}})",
        R"("a..b.c":"x")", R"("":{"a":{"b":{"c":"x"}}})", R"(".a.b.c":"x")", R"("A":{"b":{"c":"x"}})",
        R"("z":{"a":{"b":{"c":"x"}}})", R"("z":[{"a.b.c":"x"}])"}) {
    EXPECT_FALSE(holds("a.b.c == \"x\"", event(members))) << members;
  }
}

// A field that a rule names may itself be the parent of another.
TEST(EventReader, AParentIsAFieldToo) {
  EXPECT_TRUE(holds("a == \"x\" and a.b == \"y\"", event(R"("a":"x","a.b":"y")")));
  EXPECT_FALSE(holds("a != null", event(R"("a":{"b":"y"})")));
}

TEST(EventReader, ValuesAreTheirText) {
  EXPECT_TRUE(holds("a == \"1.50\"", event(R"("a":1.50)")));
  EXPECT_TRUE(holds("a == 1.5", event(R"("a":1.50)")));
  EXPECT_TRUE(
      holds("a == \"123456789012345678901234567890\"", event(R"("a":123456789012345678901234567890)")));
  EXPECT_TRUE(holds("a == \"-0\"", event(R"("a":-0)")));
  EXPECT_TRUE(holds("a == \"18446744073709551615\"", event(R"("a":18446744073709551615)")));
  EXPECT_TRUE(holds("a == true and b == false", event(R"("a":true,"b":false)")));
  EXPECT_TRUE(holds("a == \"true\"", event(R"("a":true)")));
  EXPECT_TRUE(holds("a == \"\"", event(R"("a":"")")));
}

TEST(EventReader, WhatHasNoValueIsMissing) {
  for (std::string const value : {"null", "[]", "{}", "[null]", "[[],[null,[]]]", "[{}]"}) {
    EXPECT_TRUE(holds("a == null", event("\"a\":" + value))) << value;
  }
  EXPECT_TRUE(holds("a == \"x\"", event(R"("a":[null,"x"])")));
}

TEST(EventReader, EscapesAreDecoded) {
  EXPECT_TRUE(holds(R"(a == "q\"\\/\n\té" and b == "z")", event(R"("a":"q\"\\\/\n\t\u00e9","b":"z")")));
  EXPECT_TRUE(holds("a : (\"*\xf0\x9f\x94\x8d\")", event(R"("a":"x\ud83d\udd0d")")));
  // Longer than the buffer in which the parser decodes, with an escape at its end.
  std::string const text(10'000, 'k');
  EXPECT_TRUE(holds("a == \"" + text + "k\" and b == \"" + text + "\"",
                    event("\"a\":\"\\u006b" + text + "\",\"b\":\"" + text + "\"")));
}

TEST(EventReader, TheCategoryIsEventCategory) {
  for (std::string const members :
       {R"("event":{"category":"process"})", R"("event.category":["network","process"])"}) {
    EXPECT_TRUE(holds("true", event(members), "process")) << members;
  }
  EXPECT_FALSE(holds("true", event(R"("event":{"category":"Process"})"), "process"));
  EXPECT_FALSE(holds("true", event(R"("category":"process")"), "process"));
  EXPECT_TRUE(holds("event.category == \"process\"", event(R"("event":{"category":"process"})"), "process"));
}

TEST(EventReader, TheTimeIsWhereverTheLineHasIt) {
  eql::Engine engine(rules_of({"any where true"}), {});
  EventReader reader(engine.fields());
  eql::Row row(engine.fields());
  EXPECT_EQ(reader.read(R"({"a":{"@timestamp":"x"},"@timestamp":"1970-01-01T00:00:01Z"})", row).value(),
            1000);
  EXPECT_EQ(reader.read(R"( { "@timestamp" : [ 1000.7 ] } )", row).value(), 1000);
  EXPECT_EQ(reader.read("{\"@timestamp\":\"1000\"}\r", row).value(), 1000);
}

// Nothing of a line is left for the next, also not of one that broke off.
TEST(EventReader, IsUsedAgain) {
  eql::Engine engine(rules_of({"any where a == \"x\""}), {});
  EventReader reader(engine.fields());
  eql::Row row(engine.fields());
  std::vector<eql::Engine::Match> matches;
  for (char const *const line : {R"({"@timestamp":1,"a":"x","b":[{"a)", R"({"@timestamp":2,"b":"x"})",
                                 R"(["x"])", R"({"@timestamp":3})"}) {
    if (auto const time = reader.read(line, row)) engine.feed(row, {*time, 0}, matches);
  }
  EXPECT_TRUE(matches.empty());
}

TEST(EventReader, WhatIsNoEvent) {
  for (char const *const line : {"",
                                 " ",
                                 "{",
                                 "[]",
                                 "17",
                                 "null",
                                 "\"a\"",
                                 "{}}",
                                 R"({"@timestamp":1} x)",
                                 R"({"@timestamp":1}{})",
                                 R"({"@timestamp":1,})",
                                 R"({"@timestamp":1,"x":tru})",
                                 R"({"@timestamp":1,"x":01})",
                                 R"({"@timestamp":1,"x":"\x"})",
                                 R"({"@timestamp":1,"x":"\ud800"})",
                                 R"({"@timestamp":1,'x':1})",
                                 "{\"@timestamp\":1,\"x\":\"\xff\"}",
                                 "{\"@timestamp\":1,\"x\":\"a\tb\"}",
                                 R"([{"@timestamp":1}])",
                                 R"({"@timestamp":1,"x":NaN})",
                                 "\xef\xbb\xbf{\"@timestamp\":1}"}) {
    EXPECT_TRUE(problem(line).starts_with("not a JSON object")) << line << ": " << problem(line);
  }
  EXPECT_EQ(problem("{}"), "@timestamp is missing");
  EXPECT_EQ(problem(R"({"@timestamp":null})"), "@timestamp is missing");
  EXPECT_EQ(problem(R"({"@timestamp":[1,2]})"), "@timestamp has several values");
  EXPECT_EQ(problem(R"({"@timestamp":"soon"})"),
            "@timestamp is neither ISO 8601 nor milliseconds since the epoch");
  EXPECT_EQ(problem(R"({"@timestamp":true})"),
            "@timestamp is neither ISO 8601 nor milliseconds since the epoch");
}

TEST(EventReader, NestingHasALimit) {
  auto const nested = [](std::size_t levels) {
    return "{\"@timestamp\":1,\"x\":" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  EXPECT_EQ(problem(nested(EventReader::kDeepest - 1)), "");
  EXPECT_NE(problem(nested(EventReader::kDeepest + 1)), "");
  EXPECT_NE(problem(nested(1'000'000)), "");
}

}  // namespace
