// A request event with every part filled in, for the tests of this folder.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "model/event.hpp"

namespace imdsgate::testing {

inline Process sample_process(pid_t pid, std::string const &path, std::vector<std::string> args) {
  Process process;
  process.id.tgid = pid;
  process.id.start_ticks = 4711;
  process.entity_id = "entity-" + std::to_string(pid);
  process.parent_pid = pid - 1;
  process.executable = Executable{path, false, std::nullopt};
  process.comm = path.substr(path.rfind('/') + 1);
  process.args = std::move(args);
  process.working_directory = "/srv/app";
  process.real_uid = process.effective_uid = process.saved_uid = 33;
  process.real_gid = process.effective_gid = 34;
  process.user_name = "www-data";
  process.group_name = "www";
  process.start = std::chrono::system_clock::time_point(std::chrono::milliseconds(1764000000123));
  process.cgroup = "/system.slice/app.service";
  process.exec_seq = 3;
  process.unit = "app.service";
  process.unit_proven = true;
  return process;
}

inline std::shared_ptr<Lineage> sample_lineage() {
  auto lineage = std::make_shared<Lineage>();
  lineage->process =
      sample_process(4711, "/usr/bin/curl",
                     {"curl", "-s", "http://169.254.169.254/latest/meta-data/iam/security-credentials/"});
  lineage->parent = sample_process(4710, "/bin/dash", {"sh", "-c", "curl -s http://169.254.169.254/"});
  lineage->ancestry = {{4710, "dash", "/bin/dash"}, {812, "apache2", "/usr/sbin/apache2"}, {1, {}, {}}};
  return lineage;
}

inline std::shared_ptr<RuleInfo> sample_rule() {
  auto rule = std::make_shared<RuleInfo>();
  rule->id = "unusual-imds-request";
  rule->name = "Unusual request";
  rule->description = "A tool asked for metadata.";
  rule->version = 3;
  rule->severity = Severity::medium;
  rule->risk_score = 47;
  rule->tags = {"Domain: Cloud", "OS: Linux"};
  rule->references = {"https://example.org/rule"};
  ThreatTechnique sub{"T1552.005", "Cloud Instance Metadata API", "https://attack/T1552/005", {}};
  rule->threat = {
      {"MITRE ATT&CK",
       "TA0006",
       "Credential Access",
       "https://attack/TA0006",
       {{"T1552", "Unsecured Credentials", "https://attack/T1552", {sub}}}},
      {"MITRE ATT&CK",
       "TA0007",
       "Discovery",
       "https://attack/TA0007",
       {{"T1580", "Cloud Infrastructure Discovery", "https://attack/T1580", {}}}},
  };
  return rule;
}

inline RequestEvent sample_event() {
  RequestEvent event;
  event.time = std::chrono::system_clock::time_point(std::chrono::microseconds(1764000000123987));
  event.id = "11111111-2222-4333-8444-555555555555";
  event.flow.client = {Address::from_v4({10, 0, 0, 5}), 45555};
  event.flow.original = {Address::from_v4({169, 254, 169, 254}), 80};
  Attribution attribution;
  attribution.socket_uid = 33;
  attribution.holders = {sample_lineage()};
  attribution.holder_pids = {4711};
  event.attribution = attribution;
  std::string const target = "/latest//meta-data/iam/security-credentials/?x=1";
  event.raw =
      RawRequest{"GET",
                 target,
                 11,
                 {{"Host", "169.254.169.254"}, {"User-Agent", "curl/7.88.1"}},
                 "GET " + target + " HTTP/1.1\r\nHost: 169.254.169.254\r\nUser-Agent: curl/7.88.1\r\n\r\n"};
  MetadataRequest request;
  request.method = "GET";
  request.target = target;
  request.path = "/latest/meta-data/iam/security-credentials";
  request.query = {{"x", "1"}};
  request.host = "169.254.169.254";
  request.path_class = PathClass::credentials;
  request.imds_version = ImdsVersion::v1;
  event.request = request;
  event.status = 200;
  event.response_body_bytes = 12;
  event.duration = std::chrono::microseconds(1234);
  return event;
}

inline Finding rule_finding(Verdict verdict, std::shared_ptr<RuleInfo const> rule) {
  Finding finding;
  finding.verdict = verdict;
  finding.name = rule->id;
  finding.rule = std::move(rule);
  return finding;
}

inline Finding reason_finding(Verdict verdict, Reason reason) {
  Finding finding;
  finding.verdict = verdict;
  finding.name = std::string(name(reason));
  finding.reason = reason;
  return finding;
}

inline RequestEvent blocked_event() {
  RequestEvent event = sample_event();
  event.mode = Mode::enforce;
  event.action = Action::block;
  event.status = 403;
  event.decision.verdict = Verdict::block;
  event.decision.findings = {reason_finding(Verdict::block, Reason::class_default),
                             rule_finding(Verdict::alert, sample_rule())};
  return event;
}

inline HostInfo sample_host() {
  return {"0123456789abcdef0123456789abcdef", "web-1", Provider::ec2};
}

// The value at a dotted path of nested objects; null (and a test's failure to find it) when it is not there.
inline boost::json::value at(boost::json::value const &document, std::string_view dotted) {
  boost::json::value const *here = &document;
  while (!dotted.empty()) {
    auto const dot = std::min(dotted.find('.'), dotted.size());
    auto const *object = here->if_object();
    if (object == nullptr) return nullptr;
    here = object->if_contains(dotted.substr(0, dot));
    if (here == nullptr) return nullptr;
    dotted.remove_prefix(std::min(dot + 1, dotted.size()));
  }
  return *here;
}

}  // namespace imdsgate::testing
