#include "report/ecs.hpp"

#include <gtest/gtest.h>

#include <set>

#include "ecs_lines.hpp"

namespace imdsgate {
namespace {

using boost::json::parse;
using boost::json::value;
using namespace testing;

// interfaces §4: names are API. The whole of a plain event, field by field.
TEST(Ecs, CarryTheCredentialThatWasHandedOut) {
  auto event = testing::sample_event();
  Credential credential;
  credential.access_key_id = "ASIAIOSFODNN7EXAMPLE";
  credential.expiration = "2026-11-24T18:00:00Z";
  event.credential = std::make_shared<Credential const>(credential);
  for (auto const kind : {EventKind::event, EventKind::alert}) {
    auto const line = boost::json::parse(to_ecs(event, testing::sample_host(), kind));
    EXPECT_EQ(testing::at(line, "imdsgate.credential"),
              (boost::json::object{{"access_key_id", "ASIAIOSFODNN7EXAMPLE"},
                                   {"expiration", "2026-11-24T18:00:00Z"}}));
  }
  credential = {};
  credential.unreadable = true;
  event.credential = std::make_shared<Credential const>(credential);
  auto const line = boost::json::parse(to_ecs(event, testing::sample_host(), EventKind::event));
  EXPECT_EQ(testing::at(line, "imdsgate.credential"), (boost::json::object{{"unreadable", true}}));
}

TEST(Ecs, SayWhoseSessionTokenItWas) {
  auto event = testing::sample_event();
  event.decision.token = TokenUse{TokenUse::Kind::own, nullptr};
  auto line = boost::json::parse(to_ecs(event, testing::sample_host(), EventKind::event));
  EXPECT_EQ(testing::at(line, "imdsgate.token.use"), "own");
  EXPECT_TRUE(testing::at(line, "imdsgate.token.minted_by").is_null());
  event.decision.token = TokenUse{TokenUse::Kind::foreign, testing::sample_lineage()};
  line = boost::json::parse(to_ecs(event, testing::sample_host(), EventKind::alert));
  EXPECT_EQ(testing::at(line, "imdsgate.token.use"), "foreign");
  EXPECT_EQ(testing::at(line, "imdsgate.token.minted_by.pid"), 4711);
  EXPECT_EQ(testing::at(line, "imdsgate.token.minted_by.user.id"), "33");
}

TEST(Ecs, RequestEventFields) {
  std::map<std::string, std::string> const expected{
      {"@timestamp", R"("2025-11-24T16:00:00.123Z")"},
      {"ecs.version", R"("8.11.0")"},
      {"host.id", R"("0123456789abcdef0123456789abcdef")"},
      {"host.name", R"("web-1")"},
      {"host.os.type", R"("linux")"},
      {"cloud.provider", R"("aws")"},
      {"event.kind", R"("event")"},
      {"event.category", R"(["web","network"])"},
      {"event.type", R"(["access","allowed"])"},
      {"event.action", R"("metadata_request")"},
      {"event.outcome", R"("success")"},
      {"event.id", R"("11111111-2222-4333-8444-555555555555")"},
      {"event.duration", "1234000"},
      {"process.pid", "4711"},
      {"process.entity_id", R"("entity-4711")"},
      {"process.name", R"("curl")"},
      {"process.executable", R"("/usr/bin/curl")"},
      {"process.args",
       R"(["curl","-s","http://169.254.169.254/latest/meta-data/iam/security-credentials/"])"},
      {"process.command_line",
       R"("curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/")"},
      {"process.working_directory", R"("/srv/app")"},
      {"process.start", R"("2025-11-24T16:00:00.123Z")"},
      {"process.real_user.id", R"("33")"},
      {"process.parent.pid", "4710"},
      {"process.parent.entity_id", R"("entity-4710")"},
      {"process.parent.name", R"("dash")"},
      {"process.parent.executable", R"("/bin/dash")"},
      {"process.parent.args", R"(["sh","-c","curl -s http://169.254.169.254/"])"},
      {"process.parent.command_line", R"("sh -c curl -s http://169.254.169.254/")"},
      {"process.parent.working_directory", R"("/srv/app")"},
      {"process.parent.start", R"("2025-11-24T16:00:00.123Z")"},
      {"user.id", R"("33")"},
      {"user.name", R"("www-data")"},
      {"group.id", R"("34")"},
      {"group.name", R"("www")"},
      {"source.ip", R"("10.0.0.5")"},
      {"source.port", "45555"},
      {"destination.ip", R"("169.254.169.254")"},
      {"destination.port", "80"},
      {"network.transport", R"("tcp")"},
      {"network.type", R"("ipv4")"},
      {"network.protocol", R"("http")"},
      {"http.version", R"("1.1")"},
      {"http.request.method", R"("GET")"},
      {"http.request.bytes", "113"},
      {"http.request.body.bytes", "0"},
      {"http.response.status_code", "200"},
      {"http.response.bytes", "12"},
      {"http.response.body.bytes", "12"},
      {"url.original", R"("/latest//meta-data/iam/security-credentials/?x=1")"},
      {"url.domain", R"("169.254.169.254")"},
      {"url.path", R"("/latest/meta-data/iam/security-credentials")"},
      {"url.query", R"("x=1")"},
      {"user_agent.original", R"("curl/7.88.1")"},
      {"imdsgate.mode", R"("audit")"},
      {"imdsgate.verdict", R"("allow")"},
      {"imdsgate.action", R"("forward")"},
      {"imdsgate.path_known", "true"},
      {"imdsgate.provider", R"("ec2")"},
      {"imdsgate.path_class", R"("credentials")"},
      {"imdsgate.imds_version", R"("v1")"},
      {"imdsgate.attribution.method", R"("sock_diag")"},
      {"imdsgate.attribution.socket_uid", "33"},
      {"imdsgate.attribution.holders", R"([{"pid":4711,"name":"curl","executable":"/usr/bin/curl"}])"},
      {"imdsgate.ancestry",
       R"([{"pid":4710,"name":"dash","executable":"/bin/dash"},{"pid":812,"name":"apache2",)"
       R"("executable":"/usr/sbin/apache2"},{"pid":1}])"},
      {"imdsgate.claimed.process.name", R"(["curl"])"},
      {"imdsgate.claimed.process.executable", R"(["/usr/bin/curl"])"},
      {"imdsgate.claimed.parent.name", R"(["dash","sh"])"},
      {"imdsgate.claimed.parent.executable", R"(["/bin/dash"])"},
      {"imdsgate.proven.executable", "true"},
      {"imdsgate.proven.parent_executable", "true"},
      {"imdsgate.proven.unit", "true"},
      {"imdsgate.cgroup", R"("/system.slice/app.service")"},
      {"imdsgate.exec_seq", "3"},
      {"imdsgate.unit", R"("app.service")"},
  };
  auto const actual = fields(sample_event());
  for (auto const &[name, text] : expected) {
    auto const found = actual.find(name);
    EXPECT_EQ(found == actual.end() ? "missing" : found->second, text) << name;
  }
  for (auto const &[name, text] : actual) EXPECT_TRUE(expected.contains(name)) << name << '=' << text;
}

TEST(Ecs, VerdictReasonAndOutcome) {
  auto const blocked = fields(blocked_event());
  EXPECT_EQ(blocked.at("event.outcome"), R"("failure")");
  EXPECT_EQ(blocked.at("event.type"), R"(["access","denied"])");
  EXPECT_EQ(blocked.at("imdsgate.verdict"), R"("block")");
  EXPECT_EQ(blocked.at("imdsgate.reason"), R"("class_default")");
  EXPECT_EQ(blocked.at("imdsgate.rule_match"), R"("self")");
  EXPECT_EQ(blocked.at("imdsgate.reasons"), R"([{"name":"class_default","verdict":"block"},)"
                                            R"({"name":"unusual-imds-request","verdict":"alert"}])");
  auto const text = "\"class_default: " + std::string(info(Reason::class_default).text) + '"';
  EXPECT_EQ(blocked.at("event.reason"), text);
}

TEST(Ecs, GrantIsNamed) {
  auto event = sample_event();
  Finding granted;
  granted.name = "ssm-agent";
  event.decision.findings = {granted};
  event.decision.grant = "ssm-agent";
  auto const line = line_of(event);
  EXPECT_EQ(at(line, "imdsgate.grant"), "ssm-agent");
  EXPECT_EQ(at(line, "event.reason"), "ssm-agent: granted");
}

// Principle 1: an identity is proven or it is unattributed.
TEST(Ecs, UnattributedNamesNobody) {
  auto event = sample_event();
  event.unattributed = Reason::walk_timeout;
  for (bool const found : {true, false}) {
    if (!found) event.attribution.reset();
    auto const line = line_of(event, EventKind::alert);
    for (auto const *name :
         {"process", "user", "group", "container", "imdsgate.ancestry", "imdsgate.claimed", "imdsgate.proven",
          "imdsgate.attribution.holders", "imdsgate.attribution.socket_uid"}) {
      EXPECT_TRUE(at(line, name).is_null()) << name;
    }
    EXPECT_EQ(at(line, "imdsgate.attribution.reason"), "walk_timeout");
    EXPECT_EQ(at(line, "imdsgate.reason"), "walk_timeout");
  }
}

TEST(Ecs, MissingIsMissing) {
  RequestEvent event;
  event.failure = Reason::limit_connections;
  event.action = Action::block;
  std::string const text = to_ecs(event, {}, EventKind::event);
  auto const line = parse(text);
  for (auto const *name : {"process", "user", "http", "url", "user_agent", "event.id", "event.duration",
                           "destination", "host.id", "host.name", "imdsgate.attribution", "imdsgate.reasons",
                           "imdsgate.path_class", "rule", "message"}) {
    EXPECT_TRUE(at(line, name).is_null()) << name;
  }
  EXPECT_EQ(text.find("\"\""), std::string::npos) << text;
  EXPECT_EQ(text.find("undefined"), std::string::npos);
  EXPECT_EQ(text.find("{}"), std::string::npos) << text;
  EXPECT_EQ(at(line, "imdsgate.failure"), "limit_connections");
  EXPECT_EQ(at(line, "event.action"), "connection_attempted");
  EXPECT_EQ(at(line, "event.outcome"), "failure");

  auto unreadable = sample_event();
  auto lineage = std::make_shared<Lineage>();
  lineage->process.id.tgid = 9;
  lineage->process.parent_pid = 8;
  unreadable.attribution->holders = {lineage};
  std::string const second = to_ecs(unreadable, sample_host(), EventKind::event);
  auto const bare = parse(second);
  for (auto const *name :
       {"process.name", "process.executable", "process.args", "process.command_line", "process.start",
        "process.entity_id", "process.working_directory", "user.name", "group.name", "container",
        "imdsgate.ancestry", "imdsgate.cgroup", "imdsgate.unit", "imdsgate.exec_seq"}) {
    EXPECT_TRUE(at(bare, name).is_null()) << name;
  }
  EXPECT_EQ(at(bare, "process.parent.pid"), 8);
  EXPECT_EQ(second.find("\"\""), std::string::npos) << second;
  EXPECT_EQ(second.find("{}"), std::string::npos) << second;
}

TEST(Ecs, UnprovenIsMarked) {
  auto event = sample_event();
  auto lineage = sample_lineage();
  lineage->process.executable->unproven = Unproven::other_file;
  lineage->process.unit_proven = false;
  lineage->process.container_id = "abc123";
  lineage->process.comm = "kworker/0:1";
  event.attribution->holders = {lineage};
  auto line = line_of(event);
  EXPECT_EQ(at(line, "imdsgate.proven.executable"), false);
  EXPECT_EQ(at(line, "imdsgate.unproven"), "other_file");
  EXPECT_TRUE(at(line, "container.id").is_null());
  EXPECT_EQ(at(line, "imdsgate.claimed.container.id"), "abc123");
  EXPECT_TRUE(at(line, "imdsgate.unit").is_null());
  EXPECT_EQ(at(line, "imdsgate.claimed.unit"), "app.service");
  EXPECT_EQ(at(line, "imdsgate.claimed.process.name"), parse(R"(["curl","kworker/0:1"])"));
  lineage->process.container_proven = true;
  line = line_of(event);
  EXPECT_EQ(at(line, "container.id"), "abc123");
  EXPECT_TRUE(at(line, "container.image").is_null());
  EXPECT_TRUE(at(line, "orchestrator").is_null());
  lineage->process.container = std::make_shared<ContainerDetails const>(ContainerDetails{"nginx:1", "web", "web-1", "shop"});
  line = line_of(event);
  EXPECT_EQ(at(line, "container"), parse(R"({"id":"abc123","name":"web","image":{"name":"nginx:1"}})"));
  EXPECT_EQ(at(line, "orchestrator"),
            parse(R"({"type":"kubernetes","namespace":"shop","resource":{"type":"pod","name":"web-1"}})"));
}

TEST(Ecs, UnixListenerHasNoAddresses) {
  auto event = sample_event();
  event.flow.transport = Transport::unix_socket;
  event.flow.client = {};
  event.attribution->method = Attribution::Method::peercred;
  auto const line = line_of(event);
  EXPECT_TRUE(at(line, "source").is_null());
  EXPECT_TRUE(at(line, "network.transport").is_null());
  EXPECT_EQ(at(line, "destination.ip"), "169.254.169.254");
  EXPECT_EQ(at(line, "imdsgate.listener"), "unix");
  EXPECT_EQ(at(line, "imdsgate.attribution.method"), "peercred");
}

TEST(Ecs, ArgumentsAreCut) {
  auto event = sample_event();
  auto lineage = sample_lineage();
  lineage->process.args.assign(100, "word");
  lineage->parent->args = {"a", std::string(9000, 'x')};
  event.attribution->holders = {lineage};
  auto const line = line_of(event);
  EXPECT_EQ(at(line, "process.args").as_array().size(), 64u);
  EXPECT_EQ(at(line, "imdsgate.args_truncated"), true);
  EXPECT_EQ(at(line, "process.parent.args").as_array().size(), 1u);
  EXPECT_EQ(at(line, "imdsgate.parent_args_truncated"), true);
}

TEST(Ecs, CloudProviders) {
  for (auto const &[provider, name] :
       {std::pair{Provider::ec2, "aws"}, {Provider::gce, "gcp"}, {Provider::azure, "azure"}}) {
    HostInfo host = sample_host();
    host.provider = provider;
    EXPECT_EQ(at(parse(to_ecs(sample_event(), host, EventKind::event)), "cloud.provider"), name);
  }
}

TEST(Ecs, Lifecycle) {
  LifecycleEvent event;
  event.time = sample_event().time;
  event.id = "id-1";
  event.what = Lifecycle::mode_changed;
  event.mode = Mode::enforce;
  event.message = "mode is enforce";
  event.details = {{"previous_mode", "audit"}, {"mode", "lie"}, {"empty", ""}};
  event.actor_uid = 0;
  event.actor_pid = 77;
  auto const line = parse(to_ecs(event, sample_host()));
  EXPECT_EQ(at(line, "event.kind"), "event");
  EXPECT_EQ(at(line, "event.action"), "mode_changed");
  EXPECT_EQ(at(line, "event.category"), parse(R"(["configuration"])"));
  EXPECT_EQ(at(line, "user.id"), "0");
  EXPECT_EQ(at(line, "process.pid"), 77);
  EXPECT_EQ(at(line, "imdsgate.mode"), "enforce");
  EXPECT_EQ(at(line, "imdsgate.previous_mode"), "audit");
  EXPECT_TRUE(at(line, "imdsgate.empty").is_null());
  EXPECT_EQ(at(line, "message"), "mode is enforce");
  event.alert = true;
  event.actor_uid.reset();
  auto const alert = parse(to_ecs(event, sample_host()));
  EXPECT_EQ(at(alert, "event.kind"), "alert");
  EXPECT_EQ(at(alert, "event.severity"), 73);
  EXPECT_TRUE(at(alert, "user").is_null());
}

// ECS 8 allows only these; a typo would be refused by no store and found by nobody.
TEST(Ecs, CategoriesAndTypesAreOfTheSchema) {
  std::set<std::string> const categories{"web", "network", "process", "configuration", "intrusion_detection"};
  std::set<std::string> const types{"access", "allowed", "denied", "connection", "start",
                                    "end",    "change",  "error",  "info"};
  for (int what = 0; what <= static_cast<int>(Lifecycle::exec_events_lost); ++what) {
    LifecycleEvent event;
    event.what = static_cast<Lifecycle>(what);
    auto const line = parse(to_ecs(event, sample_host()));
    EXPECT_TRUE(categories.contains(std::string(at(line, "event.category").as_array()[0].as_string())));
    EXPECT_TRUE(types.contains(std::string(at(line, "event.type").as_array()[0].as_string())));
  }
}

// Whatever bytes a client puts into its name, arguments, path or header: one line of strict JSON.
TEST(Ecs, HostileBytes) {
  std::string const hostile = "\xff\xfe\"\\\n\r\x1b[2J\xe2\x80\xae</script>\x7f";
  auto event = blocked_event();
  auto lineage = sample_lineage();
  lineage->process.executable->path = "/tmp/" + hostile;
  lineage->process.comm = hostile;
  lineage->process.args = {hostile, hostile};
  lineage->process.working_directory = hostile;
  lineage->process.cgroup = hostile;
  lineage->ancestry.push_back({5, hostile, hostile});
  event.attribution->holders = {lineage};
  event.request->method = hostile;
  event.request->target = event.request->path = "/" + hostile + "?" + hostile;
  event.raw->fields[1].value = hostile;
  for (auto const kind : {EventKind::event, EventKind::alert}) {
    std::string const line = to_ecs(event, sample_host(), kind);
    boost::json::error_code ec;
    parse(line, ec);
    EXPECT_FALSE(ec) << line;
    for (unsigned char const c : line) EXPECT_TRUE(c >= 0x20 && c != 0x7f);
    EXPECT_EQ(line.find("\xe2\x80\xae"), std::string::npos);
    EXPECT_EQ(line.find('<'), std::string::npos);
  }
}

}  // namespace
}  // namespace imdsgate
