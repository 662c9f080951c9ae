// Who asks, and what a policy may say about them, by the names that tests/fixtures/decide uses.
#pragma once

#include <gtest/gtest.h>

#include "decide/decide.hpp"
#include "decide/live_rules.hpp"
#include "model/embedded.hpp"
#include "unit/decide/requests.hpp"

namespace imdsgate {

inline Process process(std::string path, std::string argument_zero, uid_t uid,
                       std::vector<std::string> more = {}) {
  Process process;
  process.id.tgid = 4711;
  process.entity_id = "e-4711";
  process.parent_pid = 1;
  process.comm = path.substr(path.rfind('/') + 1).substr(0, 15);
  process.executable = Executable{std::move(path), false, std::nullopt};
  process.args = std::move(more);
  process.args.insert(process.args.begin(), std::move(argument_zero));
  process.working_directory = "/";
  process.real_uid = process.effective_uid = process.saved_uid = uid;
  process.real_gid = process.effective_gid = uid;
  process.user_name = uid == 0 ? "root" : "web";
  process.group_name = process.user_name;
  process.cgroup = "/system.slice/some.service";
  return process;
}

inline Process with(Process process, void (*change)(Process &)) {
  change(process);
  return process;
}

// The lineage of a person of the tables; fails the test for one who is not known.
inline LineagePtr person(std::string const &who) {
  static constexpr char const *kAgent = "/usr/bin/amazon-ssm-agent";
  static constexpr char const *kInspector = "/opt/aws/inspector/bin/inspectorssmplugin";
  Lineage lineage;
  lineage.parent = process("/usr/lib/systemd/systemd", "/sbin/init", 0);
  auto &self = lineage.process;
  auto const forge = [](Process &process) { process.executable->unproven = Unproven::other_file; };
  auto const trace = [](Process &process) { process.tracer_pid = 99; };
  auto const contain = [](Process &process) { process.container_id = "c1", process.container_proven = true; };
  if (who == "agent")
    self = process(kAgent, kAgent, 0);
  else if (who == "user-agent")
    self = process(kAgent, kAgent, 1000);
  else if (who == "impostor")
    self = with(process(kAgent, kAgent, 0), forge);
  else if (who == "traced-agent")
    self = with(process(kAgent, kAgent, 0), trace);
  else if (who == "stranger")
    self = process("/home/web/fetch", "fetch", 1000);
  else if (who == "curl")
    self = process("/usr/bin/curl", "curl", 1000, {"-s", "http://metadata/"});
  else if (who == "python")
    self = process("/usr/bin/python3.11", "python3", 1000);
  else if (who == "busybox")
    self = process("/usr/bin/busybox", "curl", 1000);
  else if (who == "dropped")
    self = process("/tmp/x", "x", 1000);
  else if (who == "deleted")
    self = with(process("/dev/shm/x", "x", 1000), [](Process &process) {
      process.executable->deleted = true;
      process.executable->unproven = Unproven::exe_replaced;
    });
  else if (who == "relative")
    self = process("/home/web/fetch", "./fetch", 1000);
  else if (who == "speaker")
    self = process("/home/web/fetch", "fetch", 1000, {"http://169.254.169.254/latest/"});
  else if (who == "rapid7")
    self = with(process("/usr/bin/python3.11", "python3", 0),
                [](Process &process) { process.working_directory = "/opt/rapid7/agent"; });
  else if (who == "traced-rapid7")
    self = with(*std::make_shared<Process>(person("rapid7")->process), trace);
  else if (who == "inspector")
    self = process(kInspector, "curl", 0);
  else if (who == "false-inspector")
    self = with(process(kInspector, "curl", 0), forge);
  else if (who == "ssm-child" || who == "false-ssm-child") {
    self = process("/usr/bin/curl", "curl", 0);
    lineage.parent = process("/var/lib/amazon/ssm/worker", "worker", 0);
    if (who == "false-ssm-child") forge(*lineage.parent);
  } else if (who == "contained")
    self = with(process("/home/web/fetch", "fetch", 1000), contain);
  else if (who == "told-contained") {
    self = with(process("/home/web/fetch", "fetch", 1000), contain);
    self.container = std::make_shared<ContainerDetails const>(ContainerDetails{"shop/web:1", "web", {}, {}});
  } else if (who == "image" || who == "false-image" || who == "traced-image") {
    self = with(process("/usr/bin/fetch", "fetch", 1000), contain);
    self.executable->unproven = Unproven::other_namespace;
    self.executable->proven_in_namespace = who != "false-image";
    if (who == "traced-image") trace(self);
  } else if (who == "false-contained") {
    self = with(process("/home/web/fetch", "fetch", 1000), contain);
    self.container_proven = false;
  } else if (who == "unreadable") {
    self = process("/home/web/fetch", "", 1000);
    self.executable.reset();
    self.args.clear();
    self.working_directory.reset();
    self.cgroup.clear();
    lineage.parent.reset();
  } else {
    ADD_FAILURE() << "nobody is called " << who;
  }
  return std::make_shared<Lineage const>(std::move(lineage));
}

inline PolicyEntry entry(std::string name, std::string when, std::vector<std::string> methods = {},
                         std::vector<std::string> paths = {}) {
  PolicyEntry entry;
  entry.name = std::move(name);
  entry.methods = std::move(methods);
  entry.paths = std::move(paths);
  entry.when_text = std::move(when);
  if (entry.when_text.empty()) return entry;
  auto compiled = eql::compile_expression(entry.when_text, {});
  if (auto const *problem = std::get_if<Problem>(&compiled)) ADD_FAILURE() << problem->to_string();
  if (auto *query = std::get_if<eql::Query>(&compiled)) entry.when = std::move(*query);
  return entry;
}

inline std::vector<PolicyEntry> compiled_grants() {
  std::string const is_agent = R"(process.executable == "/usr/bin/amazon-ssm-agent" and user.id == "0")";
  std::vector<std::string> const methods = {"GET", "PUT"};
  std::vector<std::string> const paths = {"/latest/api/token",
                                          "/latest/meta-data/iam/security-credentials/**"};
  std::vector<PolicyEntry> entries = {
      entry("agent", is_agent, methods, paths),
      entry("expired", is_agent, methods, paths),
      entry("agent-v1", is_agent, methods, paths),
      entry("curl", R"(process.name == "curl" and user.id == "1000")"),
      entry("everyone", ""),
      entry("not-curl", R"(not process.name == "curl")"),
      entry("by-args", R"(process.command_line : "*fetch*")"),
      entry("no-container", "container.id == null"),
      entry("container", R"(container.id == "c1")"),
      entry("cgroup", R"(imdsgate.cgroup == "/system.slice/some.service")"),
      entry("fetch", R"(process.executable == "/usr/bin/fetch")"),
      entry("container-fetch", R"(process.executable == "/usr/bin/fetch" and container.id == "c1")"),
      entry("other-fetch", R"(process.executable == "/usr/bin/fetch" and container.id == "c2")"),
      entry("image-name", R"(container.image.name == "shop/web:1")"),
      entry("any-image", R"(container.image.name : "*/*:*")"),
      entry("other-images", R"(not container.image.name == "shop/job:1")"),
      entry("any-cgroup", R"(imdsgate.cgroup : "/*" or container.id : "*")"),
      entry("agent-shared", is_agent, methods, paths),
  };
  entries[1].expires = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  entries[2].allow_imdsv1 = true;
  entries.back().allow_foreign_token = true;
  return entries;
}

inline std::vector<PolicyEntry> const &known_grants() {
  static auto const entries = compiled_grants();
  return entries;
}

inline std::vector<PolicyEntry> const &known_denials() {
  static std::vector<PolicyEntry> const entries = {
      entry("deny-userdata", "", {}, {"/latest/user-data"}),
      entry("deny-curl", R"(process.name == "curl")"),
      entry("deny-agent", R"(process.executable == "/usr/bin/amazon-ssm-agent")"),
      entry("deny-not-agent", R"(not process.executable == "/usr/bin/amazon-ssm-agent")"),
  };
  return entries;
}

inline std::shared_ptr<Rule const> shipped_rule() {
  static auto const loaded = load_rule(*embedded("config/rules/unusual-imds-request.yaml"), "shipped");
  EXPECT_TRUE(loaded.rule);
  return loaded.rule;
}

inline PolicyEntry find_entry(std::vector<PolicyEntry> const &entries, std::string const &name) {
  for (auto const &each : entries) {
    if (each.name == name) return each;
  }
  ADD_FAILURE() << "no entry is called " << name;
  return {};
}

// One word of a table's policy column.
inline void apply_word(PolicyChoices &choices, std::string const &word) {
  auto const change_rule = [&](auto const &change) {
    auto changed = *shipped_rule();
    change(changed);
    choices.rules = {std::make_shared<Rule const>(std::move(changed))};
  };
  auto const verdict = [](std::string const &name) {
    return name == "allow" ? Verdict::allow : name == "alert" ? Verdict::alert : Verdict::block;
  };
  if (word == "-") return;
  if (word == "norules") return choices.rules.clear();
  if (word == "alertrule") return change_rule([](Rule &rule) { rule.action = Verdict::alert; });
  if (word == "quietrule") return change_rule([](Rule &rule) { rule.live_exec = false; });
  if (word.starts_with("allow:")) return choices.allow.push_back(find_entry(known_grants(), word.substr(6)));
  if (word.starts_with("deny:"))
    return choices.deny.push_back(find_entry(known_denials(), "deny-" + word.substr(5)));
  if (word.starts_with("v1-from=")) {
    auto const seconds = std::chrono::seconds(std::stoll(word.substr(8)));
    choices.imdsv1_exceptions.block_from = std::chrono::system_clock::time_point(seconds);
    return;
  }
  if (word.starts_with("v1-except=")) return choices.imdsv1_exceptions.except.push_back(word.substr(10));
  if (word.starts_with("share=")) {
    auto const comma = word.find(',');
    return choices.token_binding.share.push_back({word.substr(6, comma - 6), word.substr(comma + 1)});
  }
  if (word == "hop-limit=1") return void(choices.hop_limit = 1);
  if (word == "scope=process") return void(choices.token_binding.scope = TokenScope::process);
  auto const equals = word.find('=');
  ASSERT_NE(equals, std::string::npos) << word;
  auto const key = word.substr(0, equals);
  auto const value = verdict(word.substr(equals + 1));
  if (key == "unattributed")
    choices.unattributed = value;
  else if (key == "imdsv1")
    choices.imdsv1 = value;
  else if (key == "binding")
    choices.token_binding.verdict = value;
  else if (key == "credentials")
    choices.classes[index(PathClass::credentials)] = value;
  else if (key == "userdata")
    choices.classes[index(PathClass::userdata)] = value;
  else
    ADD_FAILURE() << word;
}

inline PolicyChoices choices_of(std::vector<std::string> const &words) {
  PolicyChoices choices;
  choices.rules = {shipped_rule()};
  for (auto const &word : words) apply_word(choices, word);
  return choices;
}

// The same person in another unit with `@unit`, and as another process; `@?` where its cgroup cannot be read.
inline LineagePtr person_in(std::string const &who) {
  auto const at = who.find('@');
  if (at == who.npos) return person(who);
  Lineage moved = *person(who.substr(0, at));
  moved.process.entity_id = "e-" + who;
  moved.process.cgroup.clear();
  if (who.ends_with('?')) return std::make_shared<Lineage const>(std::move(moved));
  moved.process.unit = who.substr(at + 1);
  moved.process.unit_proven = true;
  moved.process.cgroup = "/system.slice/" + *moved.process.unit;
  return std::make_shared<Lineage const>(std::move(moved));
}

inline TokenMinters minted_for(std::string const &who) {
  if (who == "unknown" || who == "forgotten") return nullptr;
  return std::make_shared<std::vector<LineagePtr> const>(1, person_in(who));
}

// An access and all that it borrows.
struct Case {
  MetadataRequest request;
  std::optional<Attribution> attribution;
  std::optional<Reason> unattributed;
  bool denied_token = false;  // its token request was blocked just before
  std::optional<TokenMinters> token;
  bool tokens_forgotten = false;
  bool over_share = false, over_rate = false;
  bool crossed_namespace = false;
  std::optional<std::uint32_t> socket_uid;

  // version: also v2:who for a token that was given to him, v2:unknown for one of which that is not known,
  // v2:forgotten when it may have been
  // who: names joined by +, or nobody, or doubted (named, but not for sure); beyond:who from another network namespace
  Case(std::string who, std::string const &method, std::string const &target, std::string const &version) {
    crossed_namespace = who.starts_with("beyond:");
    if (crossed_namespace) who.erase(0, 7);
    std::vector<Field> fields = {{"Host", "169.254.169.254"}};
    denied_token = version == "v1-denied";
    if (!version.starts_with("v1")) fields.push_back({"X-aws-ec2-metadata-token", "AQ=="});
    request = canonicalize(policy_for(Provider::ec2), raw_request(method, target, fields)).value();
    if (version.starts_with("v2:")) token.emplace(minted_for(version.substr(3)));
    tokens_forgotten = version == "v2:forgotten";
    if (version == "-") request.imds_version.reset();
    if (who == "nobody" || who == "doubted") unattributed = Reason::holder_uncertain;
    if (who == "nobody") return;
    attribution.emplace();
    for (std::size_t at = 0; at < who.size();) {
      auto const end = std::min(who.find('+', at), who.size());
      auto const name = who.substr(at, end - at);
      attribution->holders.push_back(person_in(name == "doubted" ? "agent" : name));
      at = end + 1;
    }
  }

  Decision decided(Policy const &policy) const {
    AccessRequest access{request, attribution ? &*attribution : nullptr, unattributed, "169.254.169.254:80",
                         std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000))};
    LiveRules rules({"host-1", "imds-1"});
    rules.use(policy.rules, {});
    std::vector<SequenceMatchPtr> sequences;
    if (attribution) sequences = rules.connected({{}, access.now}, *attribution, access.endpoint);
    access.sequences = sequences;
    if (denied_token) access.denied_token = 0;
    access.over_share = over_share;
    access.over_rate = over_rate;
    access.socket_uid = socket_uid;
    access.crossed_namespace = crossed_namespace;
    access.tokens_forgotten = tokens_forgotten;
    if (token) access.tokens = std::span(&*token, 1);
    return decide(policy, access);
  }
};

// "verdict/action [finding finding]"
inline std::string told(Decision const &decision, Mode mode) {
  std::string text =
      std::string(to_string(decision.verdict)) + '/' + std::string(to_string(enforce(decision, mode))) + " [";
  for (auto const &finding : decision.findings) text += (text.back() == '[' ? "" : " ") + finding.name;
  return text + ']';
}

}  // namespace imdsgate
