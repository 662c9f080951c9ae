#include "rules/load_rules.hpp"
#include "unit/rules/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

using namespace imdsgate;
using testing::ElementsAre;

namespace {

using Lines = std::vector<std::string>;

std::string fixture(std::string const &name) {
  std::ifstream stream(std::string(FIXTURES) + "/rules/" + name);
  std::ostringstream text;
  text << stream.rdbuf();
  EXPECT_TRUE(stream) << name;
  return std::move(text).str();
}

// The first line of each problem; a query's has an excerpt below it.
Lines problems(std::string_view text, std::string const &file) {
  auto const loaded = load_rules(text, file);
  EXPECT_EQ(loaded.ok(), !loaded.rules.empty()) << text;
  Lines lines;
  for (auto const &problem : loaded.problems) {
    auto const line = problem.to_string();
    lines.push_back(line.substr(0, line.find('\n')));
  }
  return lines;
}

// A rule with the least there can be, and more members.
std::string exported(std::string const &more) {
  return R"({"rule_id":"r","name":"R","type":"eql","query":"any where true")" +
         (more.empty() ? "" : "," + more) + "}";
}

TEST(LoadRules, AnExportFromKibanaHasARuleALine) {
  auto const loaded = load_rules(fixture("kibana_export.ndjson"), "export.ndjson");
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded.rules.size(), 2u);
  Rule const &rule = *loaded.rules[0];
  EXPECT_EQ(rule.id, "shell-asks");
  EXPECT_EQ(rule.name, "Shell asks for credentials");
  EXPECT_EQ(rule.description, "A shell started a process that connected to the metadata service.");
  EXPECT_EQ(rule.version, 4);
  EXPECT_EQ(rule.severity, Severity::high);
  EXPECT_EQ(rule.risk_score, 73);
  EXPECT_EQ(rule.interval, std::chrono::minutes(10));
  EXPECT_EQ(rule.from, "now-11m");
  EXPECT_EQ(rule.max_alerts, 50);
  EXPECT_THAT(rule.tags, ElementsAre("OS: Linux", "Tactic: Credential Access"));
  EXPECT_THAT(rule.references, ElementsAre("https://example.com/imds"));
  ASSERT_EQ(rule.threat.size(), 2u);
  EXPECT_EQ(rule.threat[0].tactic_id, "TA0006");
  ASSERT_EQ(rule.threat[0].techniques.size(), 1u);
  EXPECT_EQ(rule.threat[0].techniques[0].id, "T1552");
  ASSERT_EQ(rule.threat[0].techniques[0].subtechniques.size(), 1u);
  EXPECT_EQ(rule.threat[0].techniques[0].subtechniques[0].name, "Cloud Instance Metadata API");
  EXPECT_EQ(rule.threat[1].tactic_name, "Discovery");
  EXPECT_TRUE(rule.threat[1].techniques.empty());
  EXPECT_TRUE(std::holds_alternative<eql::Sequence>(rule.query));
  EXPECT_NE(rule.query_text.find("\"*sh\""), rule.query_text.npos);
}

TEST(LoadRules, WhatOtherFormatsDoNotSayIsAsInARuleOfOurOwn) {
  auto const loaded = load_rules(exported(""), "one.ndjson");
  ASSERT_EQ(loaded.rules.size(), 1u);
  Rule const &rule = *loaded.rules[0];
  expect_defaults(rule);
}

TEST(LoadRules, TheTomlOfTheRulesRepository) {
  auto const loaded = load_rules(fixture("repository.toml"), "rule.toml");
  ASSERT_TRUE(loaded.problems.empty()) << loaded.problems[0].to_string();
  ASSERT_EQ(loaded.rules.size(), 1u);
  Rule const &rule = *loaded.rules[0];
  EXPECT_EQ(rule.id, "dropped-program");
  EXPECT_EQ(rule.description,
            "A program that was dropped into a temporary directory connected to the metadata service.\n");
  EXPECT_EQ(rule.severity, Severity::medium);
  EXPECT_EQ(rule.risk_score, 47);
  EXPECT_THAT(rule.tags, ElementsAre("OS: Linux", "Tactic: Credential Access"));
  EXPECT_EQ(rule.references.size(), 2u);
  ASSERT_EQ(rule.threat.size(), 2u);
  ASSERT_EQ(rule.threat[0].techniques.size(), 1u);
  EXPECT_EQ(rule.threat[0].techniques[0].subtechniques[0].id, "T1552.005");
  EXPECT_EQ(rule.threat[0].tactic_name, "Credential Access");
  EXPECT_EQ(rule.threat[1].tactic_id, "TA0007");
  ASSERT_TRUE(std::holds_alternative<eql::Sequence>(rule.query));
  EXPECT_EQ(std::get<eql::Sequence>(rule.query).maxspan, 5000);
}

TEST(LoadRules, AProblemInAQueryPointsIntoTheFile) {
  // Behind four escapes in one line; in the third and the second line of a text of several.
  EXPECT_THAT(
      problems(R"({"rule_id":"r","name":"R","type":"eql","query":"any where\n \"\u00e9\" == a and xx xy"})",
               "a.ndjson"),
      ElementsAre(testing::StartsWith("a.ndjson:1:84: ")));
  EXPECT_THAT(
      problems("[rule]\nrule_id = \"r\"\nname = \"R\"\ntype = \"eql\"\nquery = '''\nany where\n  a b'''\n",
               "a.toml"),
      ElementsAre(testing::StartsWith("a.toml:7:5: ")));
  EXPECT_THAT(problems("[rule]\nrule_id = \"r\"\nname = \"R\"\ntype = \"eql\"\nquery = \"\"\"any \\\n   "
                       "where \\u0061 b\"\"\"\n",
                       "a.toml"),
              ElementsAre(testing::StartsWith("a.toml:6:17: ")));
  EXPECT_THAT(problems("[rule]\r\nrule_id = \"r\"\r\nname = \"é\"\r\ntype = \"eql\"\r\nquery = \"\"\"\r\nany "
                       "where\r\n  a b\"\"\"\r\n",
                       "a.toml"),
              ElementsAre(testing::StartsWith("a.toml:7:5: ")));
}

TEST(LoadRules, OnlyEqlIsUnderstood) {
  EXPECT_THAT(
      problems(R"({"rule_id":"r","name":"R","type":"query","language":"kuery","query":"a: b"})", "a.ndjson"),
      testing::IsSupersetOf({"a.ndjson:1:34: type: only eql rules are understood, this one is query",
                             "a.ndjson:1:53: language: only eql rules are understood, this one is kuery"}));
  EXPECT_THAT(problems("[rule]\nrule_id = \"r\"\nname = \"R\"\ntype = \"esql\"\nquery = \"any where true\"\n",
                       "a.toml"),
              ElementsAre("a.toml:4:8: type: only eql rules are understood, this one is esql"));
}

TEST(LoadRules, EveryProblemIsNamedWithItsPlace) {
  EXPECT_THAT(
      problems(
          R"({"name":"","severity":"grave","risk_score":101,"max_signals":0,"interval":"5","version":"1",)"
          R"("tags":[1],"type":"eql","query":7,"querry":""})",
          "a.ndjson"),
      testing::UnorderedElementsAre(
          "a.ndjson:1:1: key 'rule_id' is missing", "a.ndjson:1:9: name: is empty",
          "a.ndjson:1:23: severity: expected one of low, medium, high, critical, found grave",
          "a.ndjson:1:44: risk_score: must be from 0 to 100",
          "a.ndjson:1:62: max_signals: must be from 1 to 1000000",
          "a.ndjson:1:75: interval: expected a duration of at least 1s, such as 5m, found 5",
          "a.ndjson:1:89: version: expected a whole number, found a text",
          "a.ndjson:1:101: tags: expected a text, found a number",
          "a.ndjson:1:125: query: expected a text, found a number",
          "a.ndjson:1:127: unknown key 'querry'; did you mean 'query'?"));
  EXPECT_THAT(problems("[metadata]\nmaturity = \"production\"\nmaturitty = 1\n[rule]\nrule_id = \"r\"\nname "
                       "= \"R\"\ntype = "
                       "\"eql\"\nquery = \"any where true\"\nwhen = 2026-01-01\n[[rule.threat]]\nframework = "
                       "\"F\"\n[other]\n",
                       "a.toml"),
              testing::UnorderedElementsAre(
                  "a.toml:3:1: unknown key 'metadata.maturitty'; did you mean 'maturity'?",
                  "a.toml:9:1: unknown key 'rule.when'",
                  "a.toml:10:1: key 'rule.threat[0].tactic' is missing", "a.toml:12:2: unknown key 'other'"));
}

TEST(LoadRules, WhatChangesTheMeaningOfARuleIsSaid) {
  EXPECT_THAT(
      problems(exported(R"("event_category_override":"kind")"), "a.ndjson"),
      ElementsAre("a.ndjson:1:91: event_category_override: only event.category is understood, found kind"));
  EXPECT_THAT(
      problems(exported(R"("timestamp_field":"event.created")"), "a.ndjson"),
      ElementsAre("a.ndjson:1:83: timestamp_field: only @timestamp is understood, found event.created"));
  EXPECT_THAT(
      problems(exported(R"("filters":[{"meta":{}}],"tiebreaker_field":"event.sequence")"), "a.ndjson"),
      ElementsAre(
          "a.ndjson:1:75: warning: filters are not applied: the rule may match more than it does in Kibana",
          "a.ndjson:1:108: warning: tiebreaker_field is not applied: events of one time are taken as they "
          "come"));
  EXPECT_THAT(problems(exported(R"("filters":[],"exceptions_list":[],"tiebreaker_field":"")"), "a.ndjson"),
              ElementsAre());
}

TEST(LoadRules, BrokenJsonIsNamedAndTheRestIsStillRead) {
  auto const loaded = load_rules(
      exported("") + "\n{\"rule_id\": tru}\n" + exported("\"version\":2") + "\n17\n{\"a\":", "a.ndjson");
  EXPECT_EQ(loaded.rules.size(), 2u);
  Lines lines;
  for (auto const &problem : loaded.problems) lines.push_back(problem.to_string());
  EXPECT_THAT(
      lines, ElementsAre(testing::StartsWith("a.ndjson:2:16: JSON: "), "a.ndjson:4:1: expected a JSON object",
                         "a.ndjson:5:6: JSON: the object does not end", "a.ndjson: two rules have the id r"));
}

TEST(LoadRules, BrokenTomlIsNamed) {
  EXPECT_THAT(problems("[rule]\nname = \"R\n", "a.toml"), ElementsAre(testing::StartsWith("a.toml:2:")));
  EXPECT_THAT(problems("[rule]\nname = \"R\"\nname = \"S\"\n", "a.toml"),
              ElementsAre(testing::StartsWith("a.toml:3:8: TOML: ")));
  EXPECT_THAT(problems("", "a.toml"), ElementsAre("a.toml:1:1: key 'rule' is missing"));
}

TEST(LoadRules, AFileWithoutARuleIsAnError) {
  EXPECT_THAT(problems("{\"exported_count\":0}\n", "a.ndjson"), ElementsAre("a.ndjson: no rule in it"));
  EXPECT_THAT(problems("\n", "a.json"), ElementsAre("a.json: no rule in it"));
}

TEST(LoadRules, TheFormIsChosenByTheNameElseByTheContent) {
  std::string const toml =
      "[rule]\nrule_id = \"t\"\nname = \"T\"\ntype = \"eql\"\nquery = \"any where true\"\n";
  std::string const own = "id: y\nname: Y\nquery: any where true\n";
  for (std::string const name : {"rule", "/etc/rules/r.conf"}) {
    EXPECT_EQ(load_rules(exported(""), name).rules.at(0)->id, "r");
    EXPECT_EQ(load_rules("# a comment\n" + toml, name).rules.at(0)->id, "t");
    EXPECT_EQ(load_rules(own, name).rules.at(0)->id, "y");
  }
  EXPECT_EQ(load_rules(own, "r.yml").rules.at(0)->id, "y");
  EXPECT_FALSE(load_rules(own, "r.toml").ok());
  EXPECT_FALSE(load_rules(toml, "r.yaml").ok());
  EXPECT_EQ(load_rules("  {\n  \"rule_id\": \"r\",\n\t\"name\": \"R\", \"type\": \"eql\",\n  \"query\": "
                       "\"any where true\"\n}\n",
                       "r.json")
                .rules.at(0)
                ->id,
            "r");
}

}  // namespace
