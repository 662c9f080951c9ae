// An alert's line: what it adds to its request's.
#include "report/ecs.hpp"

#include <gtest/gtest.h>

#include <set>

#include "ecs_lines.hpp"

namespace imdsgate {
namespace {

using boost::json::parse;
using boost::json::value;
using namespace testing;

TEST(Ecs, AlertCarriesItsEventAndTheRule) {
  auto const event = blocked_event();
  auto const plain = fields(event);
  auto alert = fields(event, EventKind::alert);
  std::map<std::string, std::string> const added{
      {"event.severity", "47"},
      {"event.risk_score", "47"},
      {"rule.id", R"("unusual-imds-request")"},
      {"rule.name", R"("Unusual request")"},
      {"rule.version", R"("3")"},
      {"rule.description", R"("A tool asked for metadata.")"},
      {"rule.reference", R"("https://example.org/rule")"},
      {"tags", R"(["Domain: Cloud","OS: Linux"])"},
      {"threat.framework", R"("MITRE ATT&CK")"},
      {"threat.tactic.id", R"(["TA0006","TA0007"])"},
      {"threat.tactic.name", R"(["Credential Access","Discovery"])"},
      {"threat.tactic.reference", R"(["https://attack/TA0006","https://attack/TA0007"])"},
      {"threat.technique.id", R"(["T1552","T1580"])"},
      {"threat.technique.name", R"(["Unsecured Credentials","Cloud Infrastructure Discovery"])"},
      {"threat.technique.reference", R"(["https://attack/T1552","https://attack/T1580"])"},
      {"threat.technique.subtechnique.id", R"(["T1552.005"])"},
      {"threat.technique.subtechnique.name", R"(["Cloud Instance Metadata API"])"},
      {"threat.technique.subtechnique.reference", R"(["https://attack/T1552/005"])"},
      {"imdsgate.request_event_id", R"("11111111-2222-4333-8444-555555555555")"},
      {"message",
       R"("curl (pid 4711, uid 33) asked for GET /latest/meta-data/iam/security-credentials, blocked: )"
       R"(unusual-imds-request: Unusual request")"},
  };
  for (auto const &[name, text] : added) {
    EXPECT_EQ(alert[name], text) << name;
    alert.erase(name);
  }
  EXPECT_EQ(alert["event.kind"], R"("alert")");
  EXPECT_NE(alert["event.id"], plain.at("event.id"));
  alert["event.kind"] = plain.at("event.kind");
  alert["event.id"] = plain.at("event.id");
  EXPECT_EQ(alert, plain);
}

TEST(Ecs, AnAlertShowsTheSequenceThatWasCompleted) {
  auto event = sample_event();
  auto match = std::make_shared<SequenceMatch>();
  match->rule = sample_rule();
  auto sibling = std::make_shared<Lineage>();
  sibling->process = sample_process(4720, "/usr/bin/wget", {"wget"});
  match->events = {{event.time, "process", "exec", sibling},
                   {event.time, "network", "connection_attempted", event.attribution->holders[0]}};
  auto finding = rule_finding(Verdict::alert, sample_rule());
  finding.sequence = match;
  event.decision.verdict = Verdict::alert;
  event.decision.findings = {finding};
  auto const alert = parse(to_ecs(event, sample_host(), EventKind::alert));
  EXPECT_EQ(at(alert, "imdsgate.rule_match"), "sibling");
  auto const sequence = at(alert, "imdsgate.sequence").as_array();
  ASSERT_EQ(sequence.size(), 2u);
  EXPECT_EQ(at(sequence[0], "event.category"), "process");
  EXPECT_EQ(at(sequence[0], "process.executable"), "/usr/bin/wget");
  EXPECT_EQ(at(sequence[0], "@timestamp"), "2025-11-24T16:00:00.123Z");
  EXPECT_EQ(at(sequence[1], "process.entity_id"), "entity-4711");
  EXPECT_EQ(at(parse(to_ecs(event, sample_host(), EventKind::event)), "imdsgate.sequence"), nullptr);

  match->self = true;
  EXPECT_EQ(at(parse(to_ecs(event, sample_host(), EventKind::event)), "imdsgate.rule_match"), "self");
}

TEST(Ecs, AlertWithoutARuleSaysWhyAndIsMedium) {
  auto event = blocked_event();
  event.decision.findings = {reason_finding(Verdict::block, Reason::class_default)};
  auto const alert = fields(event, EventKind::alert);
  EXPECT_EQ(alert.at("event.severity"), "47");
  EXPECT_TRUE(alert.contains("event.reason"));
  EXPECT_FALSE(alert.contains("rule.id"));
  EXPECT_FALSE(alert.contains("imdsgate.rule_match"));
  EXPECT_FALSE(alert.contains("tags"));
}

TEST(Ecs, PolicyDenyNamesItsEntry) {
  auto event = blocked_event();
  auto finding = reason_finding(Verdict::block, Reason::policy_deny);
  finding.name = "no-nobody";
  event.decision.findings = {finding};
  auto const line = line_of(event);
  EXPECT_EQ(at(line, "imdsgate.reason"), "no-nobody");
  EXPECT_EQ(at(line, "event.reason").as_string().find("no-nobody: policy_deny: "), 0u);
}

TEST(Ecs, PartialAlert) {
  auto event = blocked_event();
  event.action = Action::forward;
  event.status = 0;
  event.partial = true;
  auto const line = line_of(event, EventKind::alert);
  EXPECT_EQ(at(line, "imdsgate.partial"), true);
  EXPECT_EQ(at(line, "event.outcome"), "unknown");
  EXPECT_TRUE(at(line, "http.response").is_null());
}

TEST(Ecs, AlertIdsAreUuidsAndDistinct) {
  std::set<std::string> ids;
  for (int i = 0; i < 2000; ++i) {
    std::string const id = "11111111-2222-4333-8444-" + std::to_string(100000000000 + i);
    ids.insert(alert_id(id));
    ids.insert(alert_id(id, true));
    EXPECT_EQ(alert_id(id), alert_id(id));
  }
  EXPECT_EQ(ids.size(), 4000u);
  auto const id = *ids.begin();
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(id[14], '8');
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
}

}  // namespace
}  // namespace imdsgate
