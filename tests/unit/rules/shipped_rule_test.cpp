// The shipped rule, criterion by criterion: what the published rule lists is listed here once more, and
// taking any of it out of config/rules/unusual-imds-request.yaml fails a test.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "rules/parser.hpp"
#include "rules/rule.hpp"
#include "unit/rules/samples.hpp"

using namespace imdsgate;
using eql::Event;
using eql::Values;
using eql::View;

namespace {

struct Criterion {
  std::string pattern;
  std::string value;  // fits this pattern
};

struct List {
  std::string field;
  bool exclusion;
  std::vector<Criterion> criteria;
};

std::vector<List> const kLists = {
    {"process.name",
     false,
     {{"curl", "curl"},
      {"wget", "WGET"},
      {"python*", "python3.11"},
      {"perl*", "perl5.36"},
      {"php*", "php-cgi"},
      {"ruby*", "ruby"},
      {"lua*", "luajit"},
      {"telnet", "telnet"},
      {"pwsh", "pwsh"},
      {"openssl", "openssl"},
      {"nc", "nc"},
      {"ncat", "ncat"},
      {"netcat", "netcat"},
      {"awk", "awk"},
      {"gawk", "gawk"},
      {"mawk", "mawk"},
      {"nawk", "nawk"},
      {"socat", "socat"},
      {"node", "Node"}}},
    {"process.executable",
     false,
     {{"./*", "./tool"},
      {"/tmp/*", "/tmp/a/b"},
      {"/var/tmp/*", "/var/tmp/x"},
      {"/var/www/*", "/var/www/html/shell"},
      {"/dev/shm/*", "/dev/shm/x"},
      {"/etc/init.d/*", "/etc/init.d/x"},
      {"/etc/rc*.d/*", "/etc/rc3.d/S01x"},
      {"/etc/cron*", "/etc/cron.daily/x"},
      {"/etc/update-motd.d/*", "/etc/update-motd.d/50-x"},
      {"/boot/*", "/boot/x"},
      {"/srv/*", "/srv/x"},
      {"/run/*", "/run/x"},
      {"/etc/rc.local", "/etc/rc.local"}}},
    {"process.command_line",
     false,
     {{"*169.254.169.254*", "agent http://169.254.169.254/latest"},
      {"*fd00:ec2::254*", "agent http://[FD00:EC2::254]/latest"},
      {"*169.254.170.2*", "agent http://169.254.170.2/v2/credentials/x"},
      {"*fd00:ec2::23*", "agent http://[fd00:ec2::23]/v1/credentials"},
      {"*fd20:ce::254*", "agent http://[fd20:ce::254]/computeMetadata/v1/"},
      {"*168.63.129.16*", "agent http://168.63.129.16/?comp=versions"},
      {"*100.100.100.200*", "agent http://100.100.100.200/latest/meta-data/"},
      {"*169.254.42.42*", "agent http://169.254.42.42/conf"}}},
    {"process.working_directory",
     true,
     {{"/opt/rapid7*", "/opt/rapid7/ir_agent"},
      {"/opt/nessus*", "/opt/nessus/x"},
      {"/snap/amazon-ssm-agent*", "/snap/amazon-ssm-agent/7628"},
      {"/var/snap/amazon-ssm-agent/*", "/var/snap/amazon-ssm-agent/7628"},
      {"/var/log/amazon/ssm/*", "/var/log/amazon/ssm/x"},
      {"/srv/snp/docker/overlay2*", "/srv/snp/docker/overlay2/x"},
      {"/opt/nessus_agent/var/nessus/*", "/opt/nessus_agent/var/nessus/x"}}},
    {"process.executable",
     true,
     {{"/opt/rumble/bin/rumble-agent*", "/opt/rumble/bin/rumble-agent-7"},
      {"/opt/aws/inspector/bin/inspectorssmplugin", "/opt/aws/inspector/bin/inspectorssmplugin"}}},
    {"process.parent.executable",
     true,
     {{"/usr/bin/setup-policy-routes", "/usr/bin/setup-policy-routes"},
      {"/usr/share/ec2-instance-connect/*", "/usr/share/ec2-instance-connect/eic_harvest_hostkeys"},
      {"/var/lib/amazon/ssm/*", "/var/lib/amazon/ssm/x/document"}}},
};

// The published list has this one behind another that covers it: alone it makes no difference.
std::string const kCovered = "/opt/nessus_agent/var/nessus/*";

std::string shipped_text() {
  std::ifstream file(SOURCE_DIR "/config/rules/unusual-imds-request.yaml");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::shared_ptr<Rule const> shipped() {
  auto loaded = load_rule(shipped_text(), "unusual-imds-request.yaml");
  for (Problem const &problem : loaded.problems) ADD_FAILURE() << problem.to_string();
  return loaded.rule;
}

// One that meets a criterion without naming what any exclusion is about.
Event suspect() {
  Event event = harmless_exec();
  event.set("process.name", "curl");
  return event;
}

// The sequence's first term, which holds every criterion.
eql::Query const &exec_stage(Rule const &rule) {
  return rule.sequence()->stages.at(0).query;
}

// The query with every pattern of `patterns` made one that fits nothing.
eql::Query without(std::string text, std::vector<std::string> const &patterns) {
  for (std::string const &pattern : patterns) {
    std::string const quoted = '"' + pattern + '"';
    auto const at = text.find(quoted);
    EXPECT_NE(at, std::string::npos) << pattern;
    if (at == std::string::npos) continue;
    EXPECT_EQ(text.find(quoted, at + 1), std::string::npos) << pattern << " stands in two places";
    text.replace(at, quoted.size(), "\"\\u{01}nothing\"");
  }
  auto result = eql::compile_rule_query(text, {"q", 1, 1, 0, {}});
  EXPECT_TRUE(std::holds_alternative<eql::RuleQuery>(result));
  return std::get<eql::Sequence>(std::get<eql::RuleQuery>(result)).stages.at(0).query;
}

void collect(eql::Node const &node, bool negated,
             std::map<std::pair<std::string, bool>, std::vector<std::string>> &into) {
  if (auto const *is = std::get_if<eql::Not>(&node.is)) return collect(*is->operand, !negated, into);
  if (auto const *is = std::get_if<eql::Logical>(&node.is)) {
    for (auto const &operand : is->operands) collect(*operand, negated, into);
  }
  if (auto const *is = std::get_if<eql::Predicate>(&node.is)) {
    for (auto const &right : is->right) {
      into[{std::get<eql::FieldName>(is->left->is).name, negated}].push_back(
          std::get<std::string>(right->is));
    }
  }
}

TEST(ShippedRule, ListsExactlyThePublishedCriteria) {
  auto const rule = shipped();
  ASSERT_TRUE(rule);
  auto const parsed = eql::parse_query(rule->query_text);
  std::map<std::pair<std::string, bool>, std::vector<std::string>> found;
  collect(*std::get<eql::SequenceQuery>(parsed).stages.at(0).query.where, false, found);
  EXPECT_EQ(found.size(), kLists.size());
  std::vector<std::size_t> counts;
  for (List const &list : kLists) {
    std::vector<std::string> patterns;
    for (Criterion const &criterion : list.criteria) patterns.push_back(criterion.pattern);
    EXPECT_EQ((found[{list.field, list.exclusion}]), patterns) << list.field;
    counts.push_back(patterns.size());
  }
  EXPECT_EQ(counts,
            (std::vector<std::size_t>{19, 13, 8, 7, 2, 3}));  // 8: the one term, for every guarded address
}

TEST(ShippedRule, JoinsAnExecAndAConnectionAsPublished) {
  auto const rule = shipped();
  ASSERT_TRUE(rule && rule->sequence());
  auto const &sequence = *rule->sequence();
  ASSERT_EQ(sequence.stages.size(), 2u);
  EXPECT_EQ(sequence.maxspan, 1000);
  EXPECT_FALSE(sequence.until);
  for (auto const &stage : sequence.stages) {
    ASSERT_EQ(stage.keys.size(), 2u);
    EXPECT_EQ(stage.keys[0].name, "host.id");
    EXPECT_EQ(stage.keys[1].name, "process.parent.entity_id");
    EXPECT_FALSE(stage.keys[0].optional || stage.keys[1].optional);
  }
  EXPECT_EQ(sequence.stages[0].query.category, "process");
  EXPECT_EQ(sequence.stages[1].query.category, "network");
}

TEST(ShippedRule, NamesEveryGuardedAddress) {
  auto const rule = shipped();
  ASSERT_TRUE(rule && rule->sequence());
  for (char const *const address : {"169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254",
                                    "FD00:EC2:0::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23",
                                    "fd20:ce::254", "168.63.129.16", "100.100.100.200", "169.254.42.42"}) {
    Event connection;
    connection.category = "network";
    connection.set("host.os.type", "linux");
    connection.set("event.action", "connection_attempted");
    connection.set("destination.ip", address);
    EXPECT_TRUE(matches(rule->sequence()->stages.at(1).query, connection, View::by_polarity)) << address;
    connection.set("event.action", "connection_accepted");
    EXPECT_FALSE(matches(rule->sequence()->stages.at(1).query, connection, View::by_polarity));
  }
  Event other;
  other.category = "network";
  other.set("host.os.type", "linux");
  other.set("event.action", "connection_attempted");
  other.set("destination.ip", "169.254.169.253");
  EXPECT_FALSE(matches(rule->sequence()->stages.at(1).query, other, View::by_polarity));
}

TEST(ShippedRule, EachCriterionDecidesAlone) {
  auto const rule = shipped();
  ASSERT_TRUE(rule);
  EXPECT_FALSE(matches(exec_stage(*rule), harmless_exec(), View::by_polarity));
  EXPECT_TRUE(matches(exec_stage(*rule), suspect(), View::by_polarity));
  for (List const &list : kLists) {
    for (Criterion const &criterion : list.criteria) {
      Event event = list.exclusion ? suspect() : harmless_exec();
      event.set(list.field, criterion.value);
      EXPECT_EQ(matches(exec_stage(*rule), event, View::by_polarity), !list.exclusion) << criterion.pattern;

      std::vector<std::string> others;
      for (Criterion const &other : list.criteria) {
        if (other.pattern != criterion.pattern) others.push_back(other.pattern);
      }
      EXPECT_EQ(matches(without(rule->query_text, others), event, View::by_polarity), !list.exclusion)
          << criterion.pattern << " alone";
      if (criterion.pattern == kCovered) continue;
      EXPECT_EQ(matches(without(rule->query_text, {criterion.pattern}), event, View::by_polarity),
                list.exclusion)
          << "without " << criterion.pattern;
    }
  }
}

TEST(ShippedRule, ExclusionsHoldForEveryCriterion) {
  auto const rule = shipped();
  ASSERT_TRUE(rule);
  for (List const &list : kLists) {
    if (list.exclusion) continue;
    for (Criterion const &criterion : list.criteria) {
      Event event = harmless_exec();
      event.set(list.field, criterion.value);
      event.set("process.working_directory", "/opt/rapid7/ir_agent");
      EXPECT_FALSE(matches(exec_stage(*rule), event, View::by_polarity)) << criterion.pattern;
    }
  }
}

TEST(ShippedRule, AsksForALinuxExecFromEveryTerm) {
  auto const rule = shipped();
  ASSERT_TRUE(rule);
  for (List const &list : kLists) {
    if (list.exclusion) continue;
    for (auto const &[field, other] : std::vector<std::pair<std::string, std::string>>{
             {"host.os.type", "windows"}, {"event.type", "end"}, {"event.action", "fork"}}) {
      Event event = harmless_exec();
      event.set(list.field, list.criteria.front().value);
      EXPECT_TRUE(matches(exec_stage(*rule), event, View::by_polarity));
      event.set(field, other);
      EXPECT_FALSE(matches(exec_stage(*rule), event, View::by_polarity)) << field;
    }
  }
  Event network = suspect();
  network.category = "network";
  EXPECT_FALSE(matches(exec_stage(*rule), network, View::by_polarity));
}

TEST(ShippedRule, LyingAddsSuspicionAndNeverRemovesIt) {
  auto const rule = shipped();
  ASSERT_TRUE(rule);
  Event renamed = harmless_exec();  // proven to be an agent, goes by curl as well
  renamed.set("process.name", Values{{"agent", "curl"}, {"agent"}, false});
  EXPECT_TRUE(matches(exec_stage(*rule), renamed, View::by_polarity));

  Event nameless = harmless_exec();  // nothing proven at all, claims curl
  nameless.set("process.name", Values{{"curl"}, {}, false});
  nameless.set("process.executable", Values{{"/usr/bin/curl"}, {}, false});
  EXPECT_TRUE(matches(exec_stage(*rule), nameless, View::by_polarity));

  Event pretender = suspect();  // claims to be an excluded agent
  pretender.set("process.executable",
                Values{{"/usr/bin/curl", "/opt/rumble/bin/rumble-agent"}, {"/usr/bin/curl"}, false});
  EXPECT_TRUE(matches(exec_stage(*rule), pretender, View::by_polarity));
  pretender.set("process.executable", "/opt/rumble/bin/rumble-agent");
  EXPECT_FALSE(matches(exec_stage(*rule), pretender, View::by_polarity));
}

TEST(ShippedRule, AMissingParentExcludesNothing) {
  auto const rule = shipped();
  ASSERT_TRUE(rule);
  Event event;
  event.category = "process";
  event.set("host.os.type", "linux");
  event.set("event.type", "start");
  event.set("event.action", "exec");
  event.set("process.name", "curl");
  EXPECT_TRUE(matches(exec_stage(*rule), event, View::by_polarity));
  event.set_unreadable("process.parent.executable");
  EXPECT_TRUE(matches(exec_stage(*rule), event, View::by_polarity));
}

TEST(ShippedRule, CarriesThePublishedFields) {
  auto const rule = shipped();
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->id, "unusual-imds-request");
  EXPECT_EQ(rule->name, "Unusual Instance Metadata Service (IMDS) API Request");
  EXPECT_FALSE(rule->description.empty());
  EXPECT_EQ(rule->severity, Severity::medium);
  EXPECT_EQ(event_severity(rule->severity), 47);
  EXPECT_EQ(rule->risk_score, 47);
  EXPECT_EQ(rule->max_alerts, 100);
  EXPECT_EQ(rule->interval, std::chrono::minutes(5));
  EXPECT_EQ(rule->from, "now-9m");
  EXPECT_EQ(rule->action, Verdict::block);
  EXPECT_TRUE(rule->live_exec);
  EXPECT_EQ(rule->block_on, Rule::BlockOn::self);
  EXPECT_EQ(rule->tags, (std::vector<std::string>{"Domain: Endpoint", "OS: Linux",
                                                  "Use Case: Threat Detection", "Tactic: Credential Access",
                                                  "Tactic: Discovery", "Data Source: Elastic Defend"}));
}

TEST(ShippedRule, CarriesBothTacticsAndAllThreeTechniques) {
  auto const rule = shipped();
  ASSERT_TRUE(rule);
  ASSERT_EQ(rule->threat.size(), 2u);
  Threat const &access = rule->threat[0];
  EXPECT_EQ(access.framework, "MITRE ATT&CK");
  EXPECT_EQ(access.tactic_id, "TA0006");
  EXPECT_EQ(access.tactic_name, "Credential Access");
  EXPECT_EQ(access.tactic_reference, "https://attack.mitre.org/tactics/TA0006/");
  ASSERT_EQ(access.techniques.size(), 1u);
  EXPECT_EQ(access.techniques[0].id, "T1552");
  EXPECT_EQ(access.techniques[0].name, "Unsecured Credentials");
  EXPECT_EQ(access.techniques[0].reference, "https://attack.mitre.org/techniques/T1552/");
  ASSERT_EQ(access.techniques[0].subtechniques.size(), 1u);
  EXPECT_EQ(access.techniques[0].subtechniques[0].id, "T1552.005");
  EXPECT_EQ(access.techniques[0].subtechniques[0].name, "Cloud Instance Metadata API");
  EXPECT_EQ(access.techniques[0].subtechniques[0].reference,
            "https://attack.mitre.org/techniques/T1552/005/");
  Threat const &discovery = rule->threat[1];
  EXPECT_EQ(discovery.framework, "MITRE ATT&CK");
  EXPECT_EQ(discovery.tactic_id, "TA0007");
  EXPECT_EQ(discovery.tactic_name, "Discovery");
  EXPECT_EQ(discovery.tactic_reference, "https://attack.mitre.org/tactics/TA0007/");
  ASSERT_EQ(discovery.techniques.size(), 1u);
  EXPECT_EQ(discovery.techniques[0].id, "T1580");
  EXPECT_EQ(discovery.techniques[0].name, "Cloud Infrastructure Discovery");
  EXPECT_EQ(discovery.techniques[0].reference, "https://attack.mitre.org/techniques/T1580/");
  EXPECT_TRUE(discovery.techniques[0].subtechniques.empty());
}

}  // namespace
