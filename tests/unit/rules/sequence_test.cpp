#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <sstream>

#include "rules/engine.hpp"
#include "unit/rules/fixture_table.hpp"

using namespace imdsgate;
using namespace imdsgate::eql;

namespace {

std::shared_ptr<Rule const> rule(std::string const &query, bool live_exec = true) {
  auto compiled = compile_rule_query(query, {"q", 1, 1, 0, {}});
  if (auto const *problem = std::get_if<Problem>(&compiled)) {
    ADD_FAILURE() << problem->to_string();
    return nullptr;
  }
  auto result = std::make_shared<Rule>();
  result->query = std::get<RuleQuery>(std::move(compiled));
  result->live_exec = live_exec;
  return result;
}

// "process+network name=a|b other=~c": what a fixture calls an event.
Row row_of(FieldTable const &fields, std::string const &text, std::deque<std::string> &texts) {
  Row row(fields);
  std::istringstream words(text);
  std::string word;
  words >> word;
  for (auto const &category : split(word, "+")) row.add_category(texts.emplace_back(category));
  while (words >> word) {
    auto const equals = word.find('=');
    auto const field = fields.find(word.substr(0, equals));
    if (field == FieldTable::kUnnamed) continue;
    for (std::string const &value : split(word.substr(equals + 1), "|")) {
      bool const claimed = value.starts_with('~');
      std::string const &kept = texts.emplace_back(claimed ? value.substr(1) : value);
      claimed ? row.add_claimed(field, kept) : row.add(field, kept);
    }
  }
  return row;
}

struct Stream {
  Engine &engine;
  std::uint64_t next = 0;
  std::vector<Engine::Match> matches;

  // "MS:EVENT; MS:EXEC >> CONNECTION; …"
  void feed(std::string const &events) {
    for (std::string const &text : split(events, "; ")) {
      auto const colon = text.find(':');
      auto const parts = split(text.substr(colon + 1), " >> ");
      std::deque<std::string> texts;
      Row const first = row_of(engine.fields(), parts[0], texts);
      Stamp const at{std::stoll(text.substr(0, colon)), next + parts.size() - 1};
      if (parts.size() == 1) {
        engine.feed(first, at, matches);
      } else {
        engine.present(first, next, row_of(engine.fields(), parts[1], texts), at, matches);
      }
      next += parts.size();
    }
  }

  std::string found() const {
    std::string text;
    for (auto const &match : matches) {
      for (std::size_t i = 0; i < match.events.size(); ++i) {
        text += (i > 0 ? "," : text.empty() ? "" : " ") + std::to_string(match.events[i]);
      }
    }
    return text.empty() ? "-" : text;
  }
};

std::string run(std::vector<std::shared_ptr<Rule const>> rules, std::string const &events) {
  Engine engine(std::move(rules), {});
  Stream stream{engine, 0, {}};
  stream.feed(events);
  return stream.found();
}

TEST(Sequence, Table) {
  auto const lines = fixture_table("sequences.txt");
  EXPECT_GE(lines.size(), 150u);
  for (auto const &[number, columns] : lines) {
    auto const loaded = rule(columns[1]);
    ASSERT_TRUE(loaded) << number;
    Engine engine({loaded}, {});
    Stream stream{engine, 0, {}};
    stream.feed(columns[0]);
    auto const expected = split(columns[2], " / ");
    EXPECT_EQ(stream.found(), expected[0]) << number << ": " << columns[0] << " => " << columns[1];
    if (expected.size() > 1) {
      EXPECT_EQ(std::to_string(engine.counters().pending), expected[1])
          << number << ": " << columns[0] << " => " << columns[1];
    }
    EXPECT_EQ(engine.counters().refused, 0u);
  }
}

TEST(Sequence, WhatTheLimitOfKeysLeavesOutIsCounted) {
  Engine engine({rule("sequence by k, j [p where true] [n where true]")}, {});
  Stream stream{engine, 0, {}};
  stream.feed("0:p k=1|2|3|4 j=a|b|c|d|a|b; 1:p k=1|1|1|2 j=a");
  EXPECT_EQ(engine.counters().uncombined, 0u);
  stream.feed("2:p k=1|2|3|4|5 j=a|b|c|d; 3:p k=1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17 j=a");
  EXPECT_EQ(engine.counters().uncombined, 2u);
}

TEST(Sequence, ErrorTable) {
  for (auto const &[number, columns] : fixture_table("sequence_errors.txt")) {
    auto const result = compile_rule_query(with_newlines(columns[0]), {"q", 1, 1, 0, {}});
    auto const *problem = std::get_if<Problem>(&result);
    if (!problem) {
      ADD_FAILURE() << number << ": no error in " << columns[0];
      continue;
    }
    EXPECT_EQ(std::to_string(problem->line) + ':' + std::to_string(problem->column), columns[1])
        << number << ": " << problem->text;
    EXPECT_TRUE(problem->text.starts_with(columns[2])) << number << ": " << problem->text;
  }
}

TEST(Engine, ReportsInTheOrderOfTheRules) {
  Engine engine(
      {rule("any where a == 1"), rule("n where true"), rule("sequence [p where true] [n where true]"),
       rule("p where true"), rule("any where true")},
      {});
  Stream stream{engine, 0, {}};
  stream.feed("0:p a=1; 1:n a=1");
  std::vector<std::size_t> rules;
  for (auto const &match : stream.matches) rules.push_back(match.rule);
  EXPECT_EQ(rules, (std::vector<std::size_t>{0, 3, 4, 0, 1, 2, 4}));
  EXPECT_EQ(stream.found(), "0 0 0 1 1 0,1 1");
}

TEST(Engine, AnEventOfSeveralCategoriesMatchesOnce) {
  EXPECT_EQ(run({rule("any where true"), rule("p where true"), rule("n where true"), rule("w where true")},
                "0:p+n"),
            "0 0 0");
  EXPECT_EQ(run({rule("any where true"), rule("p where true")}, "0:unheard"), "0");
}

// The same term in several rules is one term; a different one is not.
TEST(Engine, RulesThatShareTermsDecideAlone) {
  std::vector<std::shared_ptr<Rule const>> const rules = {
      rule("p where a : (\"x\", \"y\")"),     rule("p where a:(\"y\",\"x\") /* the same */"),
      rule("p where not a : (\"x\", \"y\")"), rule("p where a : (\"x\", \"z\")"),
      rule("p where b : (\"x\", \"y\")"),     rule("p where a in (\"x\", \"y\")"),
      rule("p where a == 1 or a == \"1\"")};
  Engine engine(rules, {});
  Stream stream{engine, 0, {}};
  stream.feed("0:p a=X; 1:p a=y b=q; 2:p b=Y; 3:p a=1.0");
  std::string text;
  for (auto const &match : stream.matches) {
    text += std::to_string(match.events.front()) + ':' + std::to_string(match.rule) + ' ';
  }
  EXPECT_EQ(text, "0:0 0:1 0:3 1:0 1:1 1:5 2:2 2:4 3:2 3:6 ");
}

TEST(Engine, WithoutLiveExecNothingIsPresented) {
  std::string const query = "sequence with maxspan=1s [p where true] [n where true]";
  EXPECT_EQ(run({rule(query, false)}, "0:p >> n"), "-");
  EXPECT_EQ(run({rule(query, true)}, "0:p >> n"), "0,1");
  EXPECT_EQ(run({rule("p where true"), rule("n where true")}, "0:p >> n"), "1");  // sequences only
}

TEST(Engine, OneRulesRequesterIsNoOthers) {
  EXPECT_EQ(run({rule("sequence by k [p where a == 1] [n where true]"),
                 rule("sequence by k [p where a == 2] [n where true]")},
                "0:p k=x a=2; 5:p k=x a=1 >> n k=x"),
            "1,2 0,2");
}

TEST(Engine, KeepsNoMorePendingThanAllowedAndCounts) {
  Engine engine({rule("sequence by k with maxspan=1s [p where true] [n where true]")}, {.pending = 3});
  Stream stream{engine, 0, {}};
  stream.feed("0:p k=a; 0:p k=b; 0:p k=c; 0:p k=d; 0:p k=e");
  EXPECT_EQ(engine.counters().pending, 3u);
  EXPECT_EQ(engine.counters().refused, 2u);
  stream.feed("1:n k=d; 1:p k=a; 2:n k=c; 3:p k=d; 4:n k=d; 4:n k=a");  // a newer one of the same key is no
                                                                        // more than before
  EXPECT_EQ(stream.found(), "2,7 8,9 6,10");
  EXPECT_EQ(engine.counters().refused, 2u);
  stream.feed("5:p k=f >> n k=f");
  EXPECT_EQ(engine.counters().pending, 1u);
}

TEST(Engine, ALiveRequesterIsSeenThoughTheStateIsFull) {
  Engine engine({rule("sequence by k with maxspan=1s [p where true] [n where true]"),
                 rule("sequence by k with maxspan=1s [p where true] [n where true] [w where true]")},
                {.pending = 2});
  Stream stream{engine, 0, {}};
  stream.feed("0:p k=a; 0:p k=b; 1:p k=c >> n k=c");
  EXPECT_EQ(stream.found(), "2,3");
  EXPECT_EQ(engine.counters().pending, 4u);
  EXPECT_EQ(engine.counters().refused, 1u);  // the third stage would have been waited for
}

// Expired matches go as time goes on, whatever happens, and not when their key comes again.
TEST(Engine, StateIsBoundedByMaxspan) {
  Engine engine({rule("sequence by k with maxspan=1s [p where true] [n where true]"), rule("w where true")},
                {});
  Stream stream{engine, 0, {}};
  std::uint64_t most = 0;
  for (int i = 0; i < 20'000; ++i) {
    stream.feed(std::to_string(i) + ":p k=" + std::to_string(i));
    most = std::max(most, engine.counters().pending);
  }
  EXPECT_EQ(most, 1001u);
  stream.feed("30000:w");
  EXPECT_EQ(engine.counters().pending, 0u);
  EXPECT_EQ(engine.counters().refused, 0u);
}

TEST(Engine, KnowsItsLongestSpan) {
  auto const span = [](std::vector<std::shared_ptr<Rule const>> rules) {
    return Engine(std::move(rules), {}).longest_span();
  };
  auto const sequence = [](std::string const &with) {
    return rule("sequence " + with + " [p where true] [n where true]");
  };
  EXPECT_EQ(span({}), 0);
  EXPECT_EQ(span({rule("any where true")}), 0);
  EXPECT_EQ(span({sequence("with maxspan=5m"), sequence("with maxspan=2s"), rule("any where true")}),
            300'000);
  EXPECT_EQ(span({sequence("with maxspan=5m"), sequence("")}), std::numeric_limits<std::int64_t>::max());
}

TEST(Engine, ARuleThatWasNeverCompiledMatchesNothing) {
  EXPECT_EQ(run({std::make_shared<Rule const>(), rule("any where true")}, "0:p"), "0");
}

TEST(FieldTable, NumbersEachNameOnce) {
  FieldTable fields;
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(fields.add("f" + std::to_string(i)), static_cast<std::uint32_t>(i));
  EXPECT_EQ(fields.add("f7"), 7u);
  EXPECT_EQ(fields.find("f999"), 999u);
  EXPECT_EQ(fields.find("f1000"), FieldTable::kUnnamed);
  EXPECT_EQ(fields.names()[3], "f3");
  EXPECT_EQ(FieldTable{}.find("f"), FieldTable::kUnnamed);
}

}  // namespace
