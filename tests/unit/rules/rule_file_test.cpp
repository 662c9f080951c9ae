#include <gtest/gtest.h>

#include <random>

#include "rules/rule.hpp"
#include "unit/rules/samples.hpp"

using namespace imdsgate;

namespace {

using Lines = std::vector<std::string>;

// The problems without the excerpt that follows a query's message.
Lines problems(std::string const &text) {
  auto const loaded = load_rule(text, "r.yaml");
  EXPECT_EQ(loaded.rule == nullptr, !loaded.problems.empty()) << text;
  Lines lines;
  for (Problem const &problem : loaded.problems) {
    std::string const line = problem.to_string();
    lines.push_back(line.substr(0, line.find('\n')));
  }
  return lines;
}

std::string const kLeast = "id: r\nname: R\nquery: process where true\n";

TEST(RuleFile, TakesTheDefaultsForWhatIsAbsent) {
  auto const loaded = load_rule(kLeast, "r.yaml");
  ASSERT_TRUE(loaded.rule);
  Rule const &rule = *loaded.rule;
  EXPECT_TRUE(loaded.problems.empty());
  EXPECT_EQ(rule.id, "r");
  EXPECT_EQ(rule.name, "R");
  expect_defaults(rule);
  EXPECT_EQ(rule.query_text, "process where true");
  EXPECT_EQ(std::get<eql::Query>(rule.query).category, "process");
}

TEST(RuleFile, ReadsEveryKey) {
  auto const loaded =
      load_rule(kLeast +
                    "description: d\nversion: 7\nseverity: critical\nrisk_score: 0\ninterval: 30s\n"
                    "from: now\nmax_alerts: 1\ntags: [a, b]\nreferences: [https://example.org/]\n"
                    "action: block\nlive_exec: false\nblock_on: any\nfalse_positives: [x]\n"
                    "note: n\nauthor: [me]\nlicense: MIT\nthreat: []\n",
                "r.yaml");
  ASSERT_TRUE(loaded.rule) << loaded.problems.front().to_string();
  Rule const &rule = *loaded.rule;
  EXPECT_EQ(rule.description, "d");
  EXPECT_EQ(rule.version, 7);
  EXPECT_EQ(rule.severity, Severity::critical);
  EXPECT_EQ(rule.risk_score, 0);
  EXPECT_EQ(rule.interval, std::chrono::seconds(30));
  EXPECT_EQ(rule.from, "now");
  EXPECT_EQ(rule.max_alerts, 1);
  EXPECT_EQ(rule.tags, (Lines{"a", "b"}));
  EXPECT_EQ(rule.references, (Lines{"https://example.org/"}));
  EXPECT_EQ(rule.action, Verdict::block);
  EXPECT_FALSE(rule.live_exec);
  EXPECT_EQ(rule.block_on, Rule::BlockOn::any);
}

TEST(RuleFile, ReportsEachProblemWithItsPlace) {
  struct Case {
    std::string text;
    Lines expected;
  };
  for (auto const &[text, expected] : std::vector<Case>{
           {"",
            {"r.yaml:1:1: key 'id' is missing", "r.yaml:1:1: key 'name' is missing",
             "r.yaml:1:1: key 'query' is missing"}},
           {"- a\n", {"r.yaml:1:1: expected a map of keys and values, found a list"}},
           {"just text", {"r.yaml:1:1: expected a map of keys and values, found text (just text)"}},
           {"id: [\n", {"r.yaml:2:1: YAML: end of sequence flow not found"}},
           {kLeast + "seveirty: low\n", {"r.yaml:4:1: unknown key 'seveirty'; did you mean 'severity'?"}},
           {kLeast + "id: other\n", {"r.yaml:4:1: key 'id' is given twice, first on line 1"}},
           {kLeast + "severity: hgih\n",
            {"r.yaml:4:11: severity: expected one of low, medium, high, critical, found text (hgih)"}},
           {kLeast + "severity: 47\n",
            {"r.yaml:4:11: severity: expected one of low, medium, high, critical, found a number (47)"}},
           {kLeast + "risk_score: 101\n",
            {"r.yaml:4:13: risk_score: expected a whole number from 0 to 100, found a number (101)"}},
           {kLeast + "risk_score: -1\n",
            {"r.yaml:4:13: risk_score: expected a whole number from 0 to 100, found a number (-1)"}},
           {kLeast + "risk_score: \"47\"\n",
            {"r.yaml:4:13: risk_score: expected a whole number from 0 to 100, found text (47)"}},
           {kLeast + "risk_score: 4.5\n",
            {"r.yaml:4:13: risk_score: expected a whole number from 0 to 100, found a number (4.5)"}},
           {kLeast + "interval: 5\n",
            {"r.yaml:4:11: interval: expected a duration such as 500ms, 5s, 5m, 1h or 2d, found a number "
             "(5)"}},
           {kLeast + "interval: 0s\n", {"r.yaml:4:11: interval: must be from 1000ms to 86400000ms"}},
           {kLeast + "from: yesterday\n",
            {"r.yaml:4:7: from: expected 'now' or 'now-' and a duration, such as now-9m, found yesterday"}},
           {kLeast + "from: now-\n",
            {"r.yaml:4:7: from: expected 'now' or 'now-' and a duration, such as now-9m, found now-"}},
           {kLeast + "from: now-9\n",
            {"r.yaml:4:7: from: expected 'now' or 'now-' and a duration, such as now-9m, found now-9"}},
           {kLeast + "max_alerts: 0\n",
            {"r.yaml:4:13: max_alerts: expected a whole number from 1 to 1000000, found a number (0)"}},
           {kLeast + "version: 0\n",
            {"r.yaml:4:10: version: expected a whole number from 1 to 1000000, found a number (0)"}},
           {kLeast + "tags: a\n", {"r.yaml:4:7: tags: expected a list, found text (a)"}},
           {kLeast + "tags: [a, {b: c}]\n", {"r.yaml:4:11: tags[1]: expected text, found a map"}},
           {kLeast + "tags:\n  - a: b\n", {"r.yaml:5:5: tags[0]: expected text, found a map"}},
           {kLeast + "action: drop\n",
            {"r.yaml:4:9: action: expected one of alert, block, found text (drop)"}},
           {kLeast + "action: allow\n",
            {"r.yaml:4:9: action: expected one of alert, block, found text (allow)"}},
           {kLeast + "live_exec: yes\n",
            {"r.yaml:4:12: live_exec: expected true or false, found text (yes)"}},
           {kLeast + "block_on: sibling\n",
            {"r.yaml:4:11: block_on: expected one of self, any, found text (sibling)"}},
           {kLeast + "author: me\n", {"r.yaml:4:9: author: expected a list, found text (me)"}},
           {kLeast + "description:\n", {"r.yaml:4:1: description: expected text, found nothing"}},
           {"id: 5\nname: ''\nquery: process where true\n",
            {"r.yaml:1:5: id: expected text: put it in quotes, found a number (5)",
             "r.yaml:2:7: name: is empty"}},
           {kLeast + "threat:\n  - framework: F\n    tactic: {id: T, nmae: N}\n",
            {"r.yaml:6:13: key 'threat[0].tactic.name' is missing",
             "r.yaml:6:21: unknown key 'threat[0].tactic.nmae'; did you mean 'name'?"}},
           {kLeast + "threat:\n  - framework: F\n    tactic: {id: T, name: N}\n    technique:\n"
                     "      - {id: X, name: Y, subtechnique: [{id: 1, name: Z, subtechnique: []}]}\n",
            {"r.yaml:8:46: threat[0].technique[0].subtechnique[0].id: expected text: put it in quotes, found "
             "a "
             "number (1)",
             "r.yaml:8:58: unknown key 'threat[0].technique[0].subtechnique[0].subtechnique'"}},
           {kLeast + "threat: [x]\n",
            {"r.yaml:4:10: threat[0]: expected a map of keys and values, found text (x)"}},
           {"id: r\nname: R\nquery: [a]\n", {"r.yaml:3:8: query: expected text, found a list"}},
           {"id: r\nname: R\nquery: ''\n", {"r.yaml:3:8: query: is empty"}},
       }) {
    EXPECT_EQ(problems(text), expected) << text;
  }
}

TEST(RuleFile, ReportsAllProblemsAtOnce) {
  EXPECT_EQ(
      problems("id: r\nseverity: hgih\nrisk_score: 500\nquery: |\n  process where a = 1\ncolour: red\n"),
      (Lines{"r.yaml:1:1: key 'name' is missing",
             "r.yaml:2:11: severity: expected one of low, medium, high, critical, found text (hgih)",
             "r.yaml:3:13: risk_score: expected a whole number from 0 to 100, found a number (500)",
             "r.yaml:5:19: '=' is no operator; expected '==' or ':'", "r.yaml:6:1: unknown key 'colour'"}));
}

// The query's own line and column, in whatever style YAML has it.
TEST(RuleFile, QueryErrorsNameTheFilesOwnPlace) {
  struct Case {
    std::string query, expected;
  };
  std::string const what = ": '=' is no operator; expected '==' or ':'";
  for (auto const &[query, expected] : std::vector<Case>{
           {"query: process where a = 1\n", "3:24"},
           {"query: \"process where a = 1\"\n", "3:25"},
           {"query: 'process where a = 1'\n", "3:25"},
           {"query: |\n  process where b == 1 and\n    a = 1\n", "5:7"},
           {"query: |-\n\n\n      process where\n      // comment\n        a = 1\n", "8:11"},
           {"query: >-\n  process where b == 1 and\n  a = 1\n", "5:5"},
           {"query: |2\n    process where b == 1 and\n   a = 1\n", "5:6"},
           {"query: |  # text\n  any where\n\n\n  a = 1", "7:5"},
           {"query: \"any where b == \\\"x\\\" and a = 1\"\n", "3:36"},
           {"query: process where\n  b == 1 and\n  a = 1\n", "5:5"},
       }) {
    EXPECT_EQ(problems("id: r\nname: R\n" + query), (Lines{"r.yaml:" + expected + what})) << query;
  }
}

TEST(RuleFile, QueryErrorsShowTheLineAndACaret) {
  auto const loaded =
      load_rule("id: r\nname: R\nquery: |\n  process where\n    lenght(process.name) > 64\n", "r.yaml");
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_EQ(loaded.problems[0].to_string(),
            "r.yaml:5:5: there is no function lenght; did you mean length?\n"
            "    lenght(process.name) > 64\n"
            "    ^");
}

TEST(RuleFile, AQueryMayBeASequence) {
  std::string const text =
      "id: r\nname: R\nquery: |\n  sequence by host.id with maxspan=1s\n    [process where a == 1] by b\n"
      "    [network where c != 2] by ?d\n";
  auto const loaded = load_rule(text, "r.yaml");
  for (auto const &problem : loaded.problems) ADD_FAILURE() << problem.to_string();
  ASSERT_TRUE(loaded.rule);
  auto const &sequence = std::get<eql::Sequence>(loaded.rule->query);
  EXPECT_EQ(sequence.maxspan, 1000);
  ASSERT_EQ(sequence.stages.size(), 2u);
  std::vector<std::string> named;
  for (auto const &field : eql::query_fields(loaded.rule->query)) {
    named.push_back((field.optional ? "?" : "") + field.name + ' ' + std::to_string(field.place.line) + ':' +
                    std::to_string(field.place.column));
  }
  EXPECT_EQ(named, (std::vector<std::string>{"host.id 4:15", "a 5:20", "b 5:31", "c 6:20", "?d 6:32"}));
}

TEST(RuleFile, AQueryWithWhatWeDoNotHaveIsNoRule) {
  EXPECT_EQ(problems("id: r\nname: R\nquery: |\n  sample by host.id\n    [process where true]\n"
                     "    [network where true]\n"),
            (Lines{"r.yaml:4:3: sample queries are not supported; expected CATEGORY where CONDITION"}));
}

// A valid file with bytes changed: a rule or problems, always.
TEST(RuleFile, RandomChangesAreARuleOrProblems) {
  std::string const valid =
      kLeast +
      "severity: low\nrisk_score: 5\ninterval: 5m\ntags: [a, \"b\"]\nthreat:\n  - framework: F\n"
      "    tactic: {id: T, name: N}\n    technique:\n      - id: X\n        name: Y\n";
  std::mt19937 random(7);
  auto const below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  int rules = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::string text = valid;
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
      std::string const interesting = "\n :-[]{}&*!|>'\"%@`#?,\t\xff";
      char const c = below(2) == 0 ? interesting[below(interesting.size())] : static_cast<char>(below(256));
      std::size_t const at = below(text.size());
      if (below(3) == 0) {
        text.erase(at, 1 + below(4));
      } else {
        text[at] = c;
      }
    }
    auto const loaded = load_rule(text, "r.yaml");
    ASSERT_EQ(loaded.rule == nullptr, !loaded.problems.empty()) << text;
    rules += loaded.rule ? 1 : 0;
  }
  EXPECT_GT(rules, 50);
}

}  // namespace
