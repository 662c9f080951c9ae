#include "rules/eql.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

#include "unit/rules/fixture_table.hpp"

using namespace imdsgate;
using namespace imdsgate::eql;
namespace json = boost::json;

namespace {

void add_texts(std::vector<std::string> &texts, json::value const &value) {
  if (value.is_null()) return;
  if (value.is_array()) {
    for (auto const &element : value.get_array()) add_texts(texts, element);
  } else {
    texts.push_back(value.is_string() ? std::string(value.get_string()) : json::serialize(value));
  }
}

void add_fields(Event &event, std::string const &prefix, json::object const &object) {
  for (auto const &[key, value] : object) {
    std::string const name = prefix.empty() ? std::string(key) : prefix + '.' + std::string(key);
    Values values;
    auto const *inner = value.if_object();
    if (inner && (inner->contains("c") || inner->contains("u"))) {
      if (auto const *claimed = inner->if_contains("c")) add_texts(values.claimed, *claimed);
      if (auto const *proven = inner->if_contains("p")) add_texts(values.proven, *proven);
      values.unreadable = inner->contains("u");
    } else if (inner) {
      add_fields(event, name, *inner);
      continue;
    } else {
      add_texts(values.claimed, value);
      values.proven = values.claimed;
      if (value.is_null()) continue;
    }
    event.set(name, values);
  }
}

Event event_of(std::string const &text) {
  Event event;
  event.category = "process";
  add_fields(event, "", json::parse(text).as_object());
  return event;
}

Query compiled(std::string_view text) {
  auto result = compile_expression(text, {"q", 1, 1, 0, {}});
  if (auto const *problem = std::get_if<Problem>(&result)) {
    ADD_FAILURE() << problem->to_string();
    return {};
  }
  return std::get<Query>(std::move(result));
}

TEST(Eql, ExpressionTable) {
  auto const lines = fixture_table("expressions.txt");
  EXPECT_GE(lines.size(), 600u);
  for (auto const &[number, columns] : lines) {
    Event const event = event_of(columns[0]);
    Query const query = compiled(columns[1]);
    bool const expected = columns[2] == "true";
    ASSERT_TRUE(expected || columns[2] == "false") << number;
    EXPECT_EQ(matches(query, event, View::by_polarity), expected) << number << ": " << columns[1];
    EXPECT_EQ(matches(query, event, View::proven), expected) << number << ": " << columns[1];
    EXPECT_EQ(matches(query, event, View::denial), expected) << number << ": " << columns[1];
  }
}

TEST(Eql, PolarityTable) {
  auto const lines = fixture_table("polarity.txt");
  EXPECT_GE(lines.size(), 90u);
  for (auto const &[number, columns] : lines) {
    Event const event = event_of(columns[0]);
    Query const query = compiled(columns[1]);
    std::string answers;
    for (View const view : {View::by_polarity, View::proven, View::denial}) {
      answers += std::string(answers.empty() ? "" : " ") + (matches(query, event, view) ? "yes" : "no");
    }
    EXPECT_EQ(answers, columns[2]) << number << ": " << columns[0] << " => " << columns[1];
  }
}

TEST(Eql, ErrorTable) {
  for (auto const &[number, columns] : fixture_table("errors.txt")) {
    std::string const text = with_newlines(columns[0]);
    auto const result = compile_expression(text, {"q", 1, 1, 0, {}});
    auto const *problem = std::get_if<Problem>(&result);
    if (!problem) {
      ADD_FAILURE() << number << ": no error in " << text;
      continue;
    }
    EXPECT_EQ(std::to_string(problem->line) + ':' + std::to_string(problem->column), columns[1])
        << number << ": " << problem->text;
    EXPECT_TRUE(problem->text.starts_with(columns[2])) << number << ": " << problem->text;
  }
}

TEST(Eql, ErrorsShowTheLineAndACaret) {
  auto const result = compile_query("process where a == 1 and\n\té = \"x\"", {"rule.yaml", 10, 3, 2, {}});
  EXPECT_EQ(std::get<Problem>(result).to_string(),
            "rule.yaml:11:4: no token of the language begins here\n"
            "   é = \"x\"\n"
            "   ^");
  std::string const before(300, ' ');
  auto const far = compile_query("any where" + before + "a = 1", {"f", 1, 1, 0, {}});
  EXPECT_EQ(std::get<Problem>(far).text, "'=' is no operator; expected '==' or ':'\n  " +
                                             std::string(58, ' ') + "a = 1\n  " + std::string(60, ' ') + "^");
}

TEST(Eql, PlacesOfTheFileAreUsedWhereGiven) {
  Origin origin{"f", 1, 1, 0, {}};
  for (int i = 0; i <= 5; ++i) origin.places.push_back({7, 20 + i});
  auto const result = compile_expression("a = 1", origin);
  EXPECT_EQ(std::get<Problem>(result).line, 7);
  EXPECT_EQ(std::get<Problem>(result).column, 22);
}

TEST(Eql, Categories) {
  Event event;
  event.category = "process";
  auto const query = [](std::string_view text) {
    return std::get<Query>(compile_query(text, {"q", 1, 1, 0, {}}));
  };
  EXPECT_TRUE(matches(query("process where true"), event, View::by_polarity));
  EXPECT_TRUE(matches(query("any where true"), event, View::by_polarity));
  EXPECT_TRUE(matches(query("\"process\" where true"), event, View::by_polarity));
  EXPECT_TRUE(matches(query("\"\"\"process\"\"\" where true"), event, View::by_polarity));
  EXPECT_FALSE(matches(query("network where true"), event, View::by_polarity));
  EXPECT_FALSE(matches(query("Process where true"), event, View::by_polarity));
  EXPECT_FALSE(matches(query("\"any\" where true"), event, View::by_polarity));
  event.category = "any";
  EXPECT_FALSE(matches(query("process where true"), event, View::by_polarity));
  EXPECT_TRUE(matches(query("\"any\" where true"), event, View::by_polarity));
  EXPECT_TRUE(matches(query("any where true"), event, View::by_polarity));
}

TEST(Eql, QueriesThatAreNone) {
  struct Case {
    std::string text, place, problem;
  };
  for (auto const &[text, place, problem] : std::vector<Case>{
           {"", "1:1", "expected an event category, such as process, or any, found the end"},
           {"process", "1:8", "expected 'where' after the event category, found the end"},
           {"process where", "1:14", "expected a condition, found the end"},
           {"process == 1", "1:9", "expected 'where' after the event category, found '=='"},
           {"where true", "1:1", "expected an event category, such as process, or any, found 'where'"},
           {"process.x where true", "1:8", "expected 'where' after the event category, found '.'"},
           {"sequence by host.id with maxspan=1s [process where true] [network where true]", "1:1",
            "a sequence does not stand here; expected CATEGORY where CONDITION"},
           {"join by a [process where true] [network where true]", "1:1",
            "join queries are not supported; expected"},
           {"sample by a [process where true] [network where true]", "1:1",
            "sample queries are not supported; expected"},
           {"process where true | tail 5", "1:20",
            "pipes (head, tail, …) are not supported: a rule sees every match"},
           {"process where true until true", "1:20", "'until' belongs to a sequence"},
           {"process where true by host.id", "1:20", "'by' belongs to a sequence"},
       }) {
    auto const result = compile_query(text, {"q", 1, 1, 0, {}});
    auto const *found = std::get_if<Problem>(&result);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(std::to_string(found->line) + ':' + std::to_string(found->column), place) << text;
    EXPECT_TRUE(found->text.starts_with(problem)) << found->text;
  }
}

TEST(Eql, ATermWithMoreChoicesThanAreTriedIsCounted) {
  Event event;
  for (char const *const field : {"a", "b"}) {
    Values values;
    for (int i = 0; i < 64; ++i) values.claimed.push_back(std::to_string(i));
    event.set(field, std::move(values));
  }
  Query const query = compiled("concat(a, b) == \"x\"");
  auto const before = terms_not_all_tried();
  EXPECT_FALSE(matches(query, event, View::by_polarity));
  EXPECT_EQ(terms_not_all_tried(), before);  // 4096 are
  Values more;
  for (int i = 0; i < 65; ++i) more.claimed.push_back(std::to_string(i));
  event.set("a", std::move(more));
  EXPECT_FALSE(matches(query, event, View::by_polarity));
  EXPECT_EQ(terms_not_all_tried(), before + 1);
}

TEST(Eql, NamesTheFieldsOfAQuery) {
  Query const query = compiled("b.c == 1 and (?a : \"x\" or not b.c == 2) and ?d == null and d != null");
  EXPECT_EQ(query.fields, (std::vector<std::string>{"a", "b.c", "d"}));
  EXPECT_EQ(query.optional_fields, (std::vector<std::string>{"a"}));
}

TEST(Eql, NothingMatchesAQueryThatWasNeverCompiled) {
  EXPECT_FALSE(matches(Query{}, Event{}, View::by_polarity));
}

TEST(Event, KeepsOneEntryAField) {
  Event event;
  EXPECT_EQ(event.find("a"), nullptr);
  event.set("a", "1");
  event.set("a", Values{{"2"}, {"3"}, false});
  ASSERT_NE(event.find("a"), nullptr);
  EXPECT_EQ(event.find("a")->claimed, (std::vector<std::string>{"2", "3"}));
  EXPECT_EQ(event.find("a")->proven, (std::vector<std::string>{"3"}));
  event.set_unreadable("a");
  EXPECT_TRUE(event.find("a")->unreadable);
  EXPECT_EQ(event.find("a")->claimed.size(), 2u);
}

// Nesting, chains and lists as large as they come: an answer or an error, and no stack lost.
TEST(Eql, LimitsHoldAgainstLargeTexts) {
  auto const repeated = [](std::string const &text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) result += text;
    return result;
  };
  for (std::string const &text :
       {repeated("(", 200'000), repeated("not ", 60'000) + "true", "a == " + repeated("-", 200'000) + "1",
        repeated("1+", 100'000) + "1 == a",
        repeated("(", 190) + "1" + repeated(repeated("+1", 190) + ")", 190) + " == a",
        repeated("f(", 100'000), repeated("a:(", 80'000), repeated("true and ", 40'000) + "true"}) {
    auto const result = compile_expression(text, {"q", 1, 1, 0, {}});
    EXPECT_TRUE(std::holds_alternative<Problem>(result)) << text.substr(0, 20);
  }
  EXPECT_TRUE(matches(compiled(repeated("true and ", 20'000) + "true"), {}, View::by_polarity));
  EXPECT_TRUE(matches(compiled(repeated("(", 150) + "true" + repeated(")", 150)), {}, View::by_polarity));
  Event event;
  event.set("n", "x9999");
  std::string list = "n : (\"a\"";
  for (int i = 0; i < 10'000; ++i) list += ", \"x" + std::to_string(i) + "\"";
  EXPECT_TRUE(matches(compiled(list + ")"), event, View::by_polarity));
}

// Any bytes: a query or an error with a place inside the text, always. The seed is fixed, so a failure
// repeats.
TEST(Eql, RandomTextsAreAQueryOrAnError) {
  std::vector<std::string> const words = {"a.b == \"a\" ",
                                          "x in (1, 2) ",
                                          "x : (\"*\", \"?\") ",
                                          "x != null ",
                                          "a.b not like \"a*\" ",
                                          "and ",
                                          "or ",
                                          "not ",
                                          "process ",
                                          "where ",
                                          "any ",
                                          "and ",
                                          "or ",
                                          "not ",
                                          "in ",
                                          "like ",
                                          "like~ ",
                                          "regex ",
                                          "(",
                                          ")",
                                          ",",
                                          "\"a\"",
                                          "\"",
                                          "\"\"\"",
                                          "a.b",
                                          "`x`",
                                          "`",
                                          "?",
                                          ":",
                                          "==",
                                          "!=",
                                          "<",
                                          ">=",
                                          "=",
                                          "null ",
                                          "true ",
                                          "5",
                                          "1.5e3",
                                          ".",
                                          "-",
                                          "+",
                                          "*",
                                          "/",
                                          "//",
                                          "/*",
                                          "*/",
                                          "\n",
                                          "[",
                                          "]",
                                          "|",
                                          "\\",
                                          "~",
                                          "\xc3",
                                          "\xe2\x82",
                                          "\0",
                                          "é",
                                          "sequence ",
                                          "by ",
                                          "f("};
  std::mt19937 random(20240229);
  auto const below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  Event const event = event_of(R"({"a.b":"a","x":["1","2"]})");
  int queries = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = round % 3 == 0 ? "" : "any where ";
    for (std::size_t length = below(14); length > 0; --length) {
      text += round % 5 == 0 ? std::string(1, static_cast<char>(below(256))) : words[below(words.size())];
    }
    auto const result = compile_query(text, {"q", 1, 1, 0, {}});
    if (auto const *problem = std::get_if<Problem>(&result)) {
      ASSERT_FALSE(problem->text.empty());
      ASSERT_GE(problem->line, 1);
      ASSERT_LE(problem->line, 1 + std::count(text.begin(), text.end(), '\n'));
      ASSERT_GE(problem->column, 1);
    } else {
      ++queries;
      for (View const view : {View::by_polarity, View::proven, View::denial}) {
        matches(std::get<Query>(result), event, view);
      }
    }
  }
  EXPECT_GT(queries, 100);  // or the generator only ever makes errors
}

}  // namespace
