#include "gateway/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "gateway/dmi.hpp"

namespace imdsgate {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

constexpr char const *kRule = "id: a-rule\nname: A rule\nquery: process where process.name == \"x\"\n";

// A directory of its own for each test: imdsgate.yaml, and a dmi/ that says EC2 unless told otherwise.
class SettingsTest : public testing::Test {
 protected:
  SettingsTest() {
    std::string pattern = (fs::temp_directory_path() / "imdsgate-settings-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::create_directory(root_ / "dmi");
    write("dmi/sys_vendor", "Amazon EC2\n");
  }
  ~SettingsTest() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  void write(std::string const &name, std::string const &text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  Configuration load(std::string const &text) {
    write("imdsgate.yaml", text);
    return load_configuration(root_ / "imdsgate.yaml", true, root_ / "dmi");
  }
  std::string file(std::string const &name) const { return (root_ / name).string(); }

  // "line:column: text", warnings with theirs; those of the rules left out.
  std::vector<std::string> problems(Configuration const &configuration) const {
    std::vector<std::string> texts;
    for (auto const &problem : configuration.problems) {
      if (problem.file != file("imdsgate.yaml")) continue;
      texts.push_back(problem.to_string().substr(problem.file.size() + 1));
    }
    return texts;
  }

  fs::path root_;
};

TEST_F(SettingsTest, AreTheDefaultsWhenTheFileIsEmpty) {
  auto const configuration = load("");
  ASSERT_TRUE(configuration.ok()) << configuration.problems.front().to_string();
  auto const &settings = configuration.settings;
  EXPECT_EQ(settings.mode, Mode::audit);
  EXPECT_EQ(settings.provider, Provider::ec2);
  std::vector<std::string> guarded;
  for (auto const &each : settings.endpoints) guarded.push_back(each.to_string());
  EXPECT_THAT(guarded, testing::ElementsAre("169.254.169.254:80", "[fd00:ec2::254]:80", "169.254.170.2:80",
                                            "169.254.170.23:80", "[fd00:ec2::23]:80"));
  auto const &services = configuration.policies.enforce->services;
  ASSERT_EQ(services.size(), 5u);
  EXPECT_EQ(services[1].provider, Provider::ec2);
  for (auto const at : {2, 3, 4}) EXPECT_EQ(services[static_cast<std::size_t>(at)].provider, Provider::ecs);
  EXPECT_EQ(settings.listen_port, 880);
  EXPECT_FALSE(settings.listen_unix || settings.control_group || settings.metrics);
  EXPECT_EQ(settings.control_socket, "/run/imdsgate/control.sock");
  EXPECT_EQ(settings.connect_timeout, milliseconds(500));
  EXPECT_EQ(settings.idle_timeout, milliseconds(75000));
  EXPECT_EQ(settings.on_stop, OnStop::automatic);
  EXPECT_EQ(settings.existing, Existing::refuse);
  EXPECT_EQ(settings.backend, Backend::automatic);
  EXPECT_EQ(settings.attribution, AttributionChoice::automatic);
  EXPECT_EQ(settings.mark, 0x1d5u);
  EXPECT_EQ(settings.mark_mask, 0xffffu);
  ASSERT_EQ(settings.sinks.size(), 1u);
  EXPECT_EQ(settings.sinks[0].type, SinkSettings::Type::standard_output);
  EXPECT_FALSE(settings.sinks[0].alerts_only);
  EXPECT_EQ(settings.limits.connections, 1024u);
  EXPECT_EQ(settings.limits.header_bytes, 16384u);
  EXPECT_EQ(settings.limits.body_bytes, 1048576u);
  ASSERT_EQ(configuration.policies.audit->rules.size(), 1u);
  EXPECT_EQ(configuration.policies.audit->rules[0]->id, "unusual-imds-request");
  EXPECT_EQ(configuration.policies.enforce->unattributed, Verdict::block);
}

TEST_F(SettingsTest, AreTheDefaultsWhenADefaultFileIsMissingAndAProblemWhenANamedOneIs) {
  EXPECT_TRUE(load_configuration(root_ / "none.yaml", false, root_ / "dmi").ok());
  auto const named = load_configuration(root_ / "none.yaml", true, root_ / "dmi");
  EXPECT_FALSE(named.ok());
  EXPECT_FALSE(named.policies.audit);
  EXPECT_EQ(named.problems.at(0).to_string(), file("none.yaml") + ": No such file or directory");
  EXPECT_FALSE(load_configuration(root_, false, root_ / "dmi").ok()) << "a directory is no file";
}

constexpr char const *kEverything = R"(mode: enforce
provider: gce
endpoints:
  - {address: 169.254.169.254, port: 80, hosts: [imds.corp.example, "Other.Example."]}
  - {address: 10.0.0.254, port: 81, provider: openstack, classes: {userdata: block, general: auto}, unknown: block}
  - {address: 168.63.129.16, port: 80}
listen: {port: 881, unix: imds.sock}
control: {socket: control.sock, group: "100"}
upstream: {connect_timeout: 1s, idle_timeout: 2m}
on_stop: keep
existing: ignore
firewall_backend: legacy
attribution: sock_diag
upstream_mark: {mark: 0x10, mask: 0xf0}
unattributed: alert
unknown: alert
rules: [rules/a.yaml]
classes: {credentials: alert, identity: block, userdata: allow, writable: auto, trust: alert, general: alert}
ec2: {imdsv1: block, token_binding: off}
allow:
  - name: agent
    when: |
      process.executable == "/usr/bin/agent"
        and user.id == "0"
    methods: [GET, PUT]
    paths: ["//computeMetadata/v1/instance/**/"]
    query: {"recursive": "true", alt: [json, text], client_id: []}
    endpoints: [169.254.169.254, {address: 169.254.169.254, port: 80}]
    imdsv1: allow
    expires: 2099-01-01T00:00:00.25+02:00
    note: "until the agent is replaced"
deny:
  - {name: no-user-data, paths: [/latest/user-data]}
profiles: [google-oslogin, {name: google-sdk, unit: app.service}]
sinks:
  - {type: file, path: events.ndjson, max_size: 1MiB, keep: 2, only: alerts}
  - {type: journald, only: alerts}
  - {type: syslog, address: "unix:/dev/other", only: all}
metrics: {address: "::1", port: 9880}
limits: {connections: 7, connections_per_uid: 3, requests_per_second: 20, header_bytes: 8KiB, body_bytes: 2MiB, header_timeout: 1500ms}
)";

TEST_F(SettingsTest, ReadEveryKey) {
  write("rules/a.yaml", kRule);
  auto const configuration = load(kEverything);
  for (auto const &problem : configuration.problems) ADD_FAILURE() << problem.to_string();
  auto const &settings = configuration.settings;
  EXPECT_EQ(settings.mode, Mode::enforce);
  EXPECT_EQ(settings.provider, Provider::gce);
  EXPECT_THAT(configuration.choices.particular.at(settings.endpoints.at(0)).hosts,
              testing::ElementsAre("imds.corp.example", "other.example"));
  auto const &services = configuration.policies.enforce->services;
  ASSERT_EQ(services.size(), 3u);
  EXPECT_EQ(services[0].provider, Provider::gce);
  EXPECT_EQ(services[0].unknown, Verdict::alert);
  EXPECT_EQ(services[0].classes[index(PathClass::userdata)], Verdict::allow);
  EXPECT_EQ(services[1].provider, Provider::openstack);
  EXPECT_EQ(services[1].classes[index(PathClass::userdata)], Verdict::block);
  EXPECT_EQ(services[1].classes[index(PathClass::identity)], Verdict::block);
  EXPECT_EQ(services[1].unknown, Verdict::block);
  EXPECT_EQ(services[2].provider, Provider::wireserver);
  EXPECT_EQ(settings.listen_unix, file("imds.sock"));
  EXPECT_EQ(settings.control_socket, file("control.sock"));
  EXPECT_EQ(settings.control_group, "100");
  EXPECT_EQ(settings.idle_timeout, milliseconds(120000));
  EXPECT_EQ(settings.on_stop, OnStop::keep);
  EXPECT_EQ(settings.existing, Existing::ignore);
  EXPECT_EQ(settings.backend, Backend::legacy);
  EXPECT_EQ(settings.attribution, AttributionChoice::sock_diag);
  EXPECT_EQ(settings.mark_mask, 0xf0u);
  ASSERT_EQ(settings.sinks.size(), 3u);
  EXPECT_EQ(settings.sinks[0].path, file("events.ndjson"));
  EXPECT_EQ(settings.sinks[0].max_size, 1048576u);
  EXPECT_TRUE(settings.sinks[0].alerts_only);
  EXPECT_EQ(settings.sinks[2].address, "unix:/dev/other");
  EXPECT_EQ(settings.metrics->to_string(), "[::1]:9880");
  EXPECT_EQ(settings.limits.header_timeout, milliseconds(1500));
  EXPECT_EQ(settings.limits.requests_per_second, 20u);
  auto const &policy = *configuration.policies.enforce;
  EXPECT_EQ(policy.rules.at(0)->id, "a-rule");
  EXPECT_EQ(policy.classes[index(PathClass::credentials)], Verdict::alert);
  EXPECT_EQ(policy.imdsv1[index(PathClass::general)], Verdict::block);
  EXPECT_EQ(policy.allow.at(0).paths.at(0), "/computeMetadata/v1/instance/**");
  EXPECT_TRUE(policy.allow.at(0).allow_imdsv1);
  EXPECT_TRUE(policy.allow.at(0).expires);
  EXPECT_EQ(policy.allow.at(0).note, "until the agent is replaced");
  ASSERT_EQ(policy.allow.at(0).query.size(), 3u);
  EXPECT_EQ(policy.allow.at(0).query[1].values, (std::vector<std::string>{"json", "text"}));
  EXPECT_TRUE(policy.allow.at(0).query[2].values.empty());
  ASSERT_EQ(policy.allow.at(0).endpoints.size(), 2u);
  EXPECT_EQ(policy.allow.at(0).endpoints[0].port, std::nullopt);
  EXPECT_EQ(policy.allow.at(0).endpoints[1].port, 80);
  EXPECT_EQ(policy.deny.at(0).name, "no-user-data");
}

constexpr char const *kImdsv1 =
    "ec2: {imdsv1: {default: alert, block_from: 2027-01-01T00:00:00Z, except: [/usr/bin/s3fs]}}\n";

TEST_F(SettingsTest, ReadImdsv1WithItsExceptions) {
  auto const configuration = load(kImdsv1);
  for (auto const &problem : problems(configuration)) ADD_FAILURE() << problem;
  auto const &policy = *configuration.policies.enforce;
  EXPECT_EQ(policy.imdsv1[index(PathClass::credentials)], Verdict::alert);
  EXPECT_EQ(policy.imdsv1_exceptions.block_from,
            std::chrono::system_clock::time_point(std::chrono::seconds(1'798'761'600)));
  EXPECT_EQ(policy.imdsv1_exceptions.except, std::vector<std::string>{"/usr/bin/s3fs"});
  EXPECT_THAT(problems(load("ec2: {imdsv1: {default: block, block_from: 2027-01-01T00:00:00Z}}\n")),
              Contains(HasSubstr("1:44: warning: ec2.imdsv1.block_from: changes nothing")));
}

constexpr char const *kBinding =
    "ec2: {token_binding: block, scope: session, share: [[a.service, /usr/bin/b], [c.scope, d.service]]}\n"
    "allow: [{name: a, when: 'imdsgate.unit == \"a.service\"', token_binding: allow}]\n";

TEST_F(SettingsTest, ReadTokenBinding) {
  auto const configuration = load(kBinding);
  for (auto const &problem : problems(configuration)) ADD_FAILURE() << problem;
  auto const &policy = *configuration.policies.audit;
  EXPECT_EQ(policy.token_binding.verdict, Verdict::block);
  EXPECT_EQ(policy.token_binding.scope, TokenScope::session);
  ASSERT_EQ(policy.token_binding.share.size(), 2u);
  EXPECT_EQ(policy.token_binding.share[0], (std::vector<std::string>{"a.service", "/usr/bin/b"}));
  EXPECT_TRUE(policy.allow.at(0).allow_foreign_token);
  EXPECT_EQ(load("").choices.token_binding.verdict, std::nullopt);
  EXPECT_EQ(load("ec2: {token_binding: alert}\n").choices.token_binding.scope, TokenScope::unit);
  EXPECT_THAT(problems(load("ec2: {scope: unit}\n")),
              Contains(HasSubstr("1:14: warning: ec2.scope: has no effect")));
}

TEST_F(SettingsTest, AreShownSoThatTheyCanBeReadAgain) {
  write("rules/a.yaml", kRule);
  for (auto const *text :
       {"", kEverything, kImdsv1, kBinding, "rules: []\nsinks: []\n", "control: {socket: \"a: b # c\"}"}) {
    auto const first = load(text);
    ASSERT_TRUE(first.ok()) << text;
    auto const shown = show(first);
    auto const second = load(shown);
    for (auto const &problem : problems(second)) EXPECT_THAT(problem, HasSubstr("warning")) << shown;
    EXPECT_EQ(show(second), shown);
    EXPECT_EQ(second.choices.allow.size(), first.choices.allow.size());
    for (std::size_t i = 0; i < first.choices.allow.size(); ++i) {
      EXPECT_EQ(second.choices.allow[i].expires, first.choices.allow[i].expires);
      EXPECT_EQ(second.choices.allow[i].when_text, first.choices.allow[i].when_text);
      EXPECT_EQ(second.choices.allow[i].note, first.choices.allow[i].note);
      EXPECT_EQ(second.choices.allow[i].query.size(), first.choices.allow[i].query.size());
      EXPECT_EQ(second.choices.allow[i].endpoints.size(), first.choices.allow[i].endpoints.size());
    }
  }
}

// The file as shipped, and with each of its defaults written out, is the defaults.
TEST_F(SettingsTest, OfTheShippedFileAreTheDefaults) {
  std::ifstream stream(std::string(SOURCE_DIR) + "/config/imdsgate.yaml");
  std::ostringstream shipped;
  shipped << stream.rdbuf();
  auto const defaults = show(load(""));
  EXPECT_EQ(show(load(shipped.str())), defaults);
  std::string uncommented, line;
  for (std::istringstream lines(shipped.str()); std::getline(lines, line);) {
    if (std::regex_search(line, std::regex("^#([a-z]|  [^ ])"))) uncommented += line.substr(1) + '\n';
  }
  auto const written_out = load(uncommented);
  for (auto const &problem : problems(written_out)) ADD_FAILURE() << problem;
  EXPECT_EQ(show(written_out), defaults);
  for (auto const *key : {"mode", "provider", "listen", "control", "upstream", "on_stop", "existing",
                          "firewall_backend", "attribution", "upstream_mark", "unattributed", "classes",
                          "ec2", "allow", "deny", "profiles", "sinks", "limits"}) {
    EXPECT_THAT("\n" + uncommented, HasSubstr(std::string("\n") + key + ":"));
  }
}

TEST_F(SettingsTest, OfTheShippedFilesExamplesAreRead) {
  write("rules/unusual-imds-request.yaml", kRule);
  std::ifstream stream(std::string(SOURCE_DIR) + "/config/imdsgate.yaml");
  std::string examples;
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("#    ")) examples += line.substr(5) + '\n';
  }
  auto const configuration = load(examples);
  for (auto const &problem : problems(configuration)) ADD_FAILURE() << problem;
  EXPECT_EQ(configuration.settings.sinks.size(), 3u);
  EXPECT_EQ(configuration.policies.audit->allow.size(), 7u) << "one of its own, three of each profile";
}

struct Mistake {
  char const *text;
  char const *problem;
};

class Mistakes : public SettingsTest, public testing::WithParamInterface<Mistake> {};

TEST_P(Mistakes, IsNamedWithItsPlace) {
  auto const configuration = load(GetParam().text);
  EXPECT_FALSE(configuration.ok());
  EXPECT_FALSE(configuration.policies.audit);
  EXPECT_FALSE(configuration.policies.enforce);
  EXPECT_THAT(problems(configuration), Contains(HasSubstr(GetParam().problem))) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Each, Mistakes,
    testing::Values(
        Mistake{"mode: audti\n", "1:7: mode: expected one of audit, enforce"},
        Mistake{"mode: enforce\nmod: audit\n", "2:1: unknown key 'mod'; did you mean 'mode'?"},
        Mistake{"mode: audit\nmode: enforce\n", "2:1: key 'mode' is given twice, first on line 1"},
        Mistake{"- mode\n", "1:1: expected a map"}, Mistake{"mode: [audit\n", "YAML"},
        Mistake{"listen:\n  port: 0\n", "2:9: listen.port: expected a whole number from 1 to 65535"},
        Mistake{"listen: {port: \"880\"}\n", "1:16: listen.port: expected a whole number"},
        Mistake{"listen: {prot: 880}\n", "1:10: unknown key 'listen.prot'"},
        Mistake{"listen: 880\n", "1:9: listen: expected a map"},
        Mistake{"endpoints: []\n", "1:12: endpoints: is empty"},
        Mistake{"endpoints: [{address: 169.254.169, port: 80}]\n",
                "1:23: endpoints[0].address: not an IP address"},
        Mistake{"endpoints: [{address: 169.254.169.254}]\n", "1:13: key 'endpoints[0].port' is missing"},
        Mistake{"endpoints: [{address: 169.254.169.254, port: 0}]\n", "1:46: endpoints[0].port: expected"},
        Mistake{"endpoints: [{address: 1.2.3.4, port: 80, hosts: [\"a:80\"]}]\n",
                "1:50: endpoints[0].hosts[0]: expected a host name without a port, found a:80"},
        Mistake{"endpoints: [{address: 1.2.3.4, port: 80, provider: aws}]\n", "endpoints[0].provider: "},
        Mistake{"endpoints: [{address: 1.2.3.4, port: 80, classes: {credential: block}}]\n", "credential"},
        Mistake{"unknown: maybe\n", "1:10: unknown: "},
        Mistake{"endpoints: [{address: 1.2.3.4, port: 80, hosts: [5.6.7.8]}]\n",
                "1:50: endpoints[0].hosts[0]: 5.6.7.8 is an address"},
        Mistake{"endpoints: [{address: 127.0.0.1, port: 80}]\n",
                "1:13: endpoints[0]: 127.0.0.1 is no address"},
        Mistake{"endpoints:\n  - {address: 1.2.3.4, port: 80}\n  - {address: \"::ffff:1.2.3.4\", port: 80}\n",
                "3:5: endpoints[1]: 1.2.3.4:80 is given twice"},
        Mistake{"upstream: {connect_timeout: 500}\n", "1:29: upstream.connect_timeout: expected a duration"},
        Mistake{"upstream: {idle_timeout: 0s}\n", "1:26: upstream.idle_timeout: must be from"},
        Mistake{"on_stop: leave\n", "1:10: on_stop: expected one of auto, keep, remove"},
        Mistake{"existing: translate\n", "1:11: existing: translate is not available in this version"},
        Mistake{"firewall_backend: iptables\n", "1:19: firewall_backend: expected one of auto, nft, legacy"},
        Mistake{"attribution: ebpf\n", "1:14: attribution: expected one of auto, bpf, sock_diag"},
        Mistake{"upstream_mark: {mark: 0x10000, mask: 0xffff}\n",
                "1:16: upstream_mark: the mark has bits outside"},
        Mistake{"upstream_mark: {mark: 0}\n", "1:23: upstream_mark.mark: expected"},
        Mistake{"upstream_mark: {mark: 0x100000000}\n", "1:23: upstream_mark.mark: expected"},
        Mistake{"unattributed: deny\n", "1:15: unattributed: expected one of auto, allow, alert, block"},
        Mistake{"classes: {credential: block}\n", "1:11: unknown key 'classes.credential'; did you mean"},
        Mistake{"classes: {credentials: deny}\n", "1:24: classes.credentials: expected one of"},
        Mistake{"ec2: {token_binding: on}\n", "1:22: ec2.token_binding: expected one of off, alert, block"},
        Mistake{"ec2: {scope: host}\n", "1:14: ec2.scope: expected one of unit, session, process"},
        Mistake{"ec2: {token_binding: alert, share: [a.service, b.service]}\n",
                "1:37: ec2.share[0]: expected a list"},
        Mistake{"ec2: {token_binding: alert, share: [[a.service]]}\n",
                "1:37: ec2.share[0]: needs two members at least"},
        Mistake{"ec2: {token_binding: alert, share: [[a.service, web]]}\n",
                "1:49: ec2.share[0][1]: expected a unit (name.service, name.scope) or the absolute path"},
        Mistake{"ec2: {token_binding: alert, share: [[a.service, /bin/../x]]}\n",
                "1:49: ec2.share[0][1]: expected the absolute path of an executable"},
        Mistake{"ec2: {imdsv1: {default: deny}}\n", "1:25: ec2.imdsv1.default: expected one of auto, allow"},
        Mistake{"ec2: {imdsv1: [alert]}\n", "1:15: ec2.imdsv1: expected one of auto, allow, alert, block"},
        Mistake{"ec2: {imdsv1: {block_from: 2027}}\n", "1:28: ec2.imdsv1.block_from: expected"},
        Mistake{"ec2: {imdsv1: {from: 2027-01-01T00:00:00Z}}\n", "1:16: unknown key 'ec2.imdsv1.from'"},
        Mistake{"ec2: {imdsv1: {except: [s3fs]}}\n",
                "1:25: ec2.imdsv1.except[0]: expected the absolute path of an executable, found s3fs"},
        Mistake{"ec2: {imdsv1: {except: [/usr/bin/../s3fs]}}\n",
                "1:25: ec2.imdsv1.except[0]: expected the absolute"},
        Mistake{"profiles: [cloud-inti]\n",
                "1:12: profiles[0]: there is no profile cloud-inti; did you mean cloud-init?"},
        Mistake{"profiles: [cloud-init, {name: cloud-init}]\n",
                "1:24: profiles[1]: the profile cloud-init is given twice"},
        Mistake{"profiles: [aws-sdk]\n", "1:12: profiles[0]: the profile aws-sdk needs its unit"},
        Mistake{"profiles: cloud-init\n", "1:11: profiles: expected a list"},
        Mistake{"rules: [none.yaml]\n", "1:9: rules[0]: "},
        Mistake{"rules: none.yaml\n", "1:8: rules: expected a list"},
        Mistake{"rules: [.]\n", "not a regular file"},
        Mistake{"sinks: [{type: kafka}]\n",
                "1:16: sinks[0].type: expected one of file, journald, syslog, stdout"},
        Mistake{"sinks: [{only: all}]\n", "1:9: key 'sinks[0].type' is missing"},
        Mistake{"sinks: [{type: file}]\n", "1:9: key 'sinks[0].path' is missing"},
        Mistake{"sinks: [{type: stdout, path: /x}]\n", "1:24: unknown key 'sinks[0].path'"},
        Mistake{"sinks: [{type: stdout, only: alert}]\n", "1:30: sinks[0].only: expected one of all, alerts"},
        Mistake{"sinks: [{type: syslog, address: 10.0.0.1}]\n",
                "1:33: sinks[0].address: expected unix:/PATH"},
        Mistake{"sinks: [{type: file, path: a}, {type: file, path: ./a}]\n", "1:32: sinks[1]: "},
        Mistake{"sinks: [{type: file, path: a, max_size: 64MB}]\n",
                "1:41: sinks[0].max_size: expected a size"},
        Mistake{"metrics: {address: 127.0.0.1, port: 880}\n", "1:10: metrics: the port is listen.port"},
        Mistake{"metrics: {port: 9880}\n", "1:10: key 'metrics.address' is missing"},
        Mistake{"limits: {connections: 0}\n", "1:23: limits.connections: expected"},
        Mistake{"limits: {connections: -1}\n", "1:23: limits.connections: expected"},
        Mistake{"limits: {requests_per_second: 0}\n", "1:31: limits.requests_per_second: expected"},
        Mistake{"limits: {header_bytes: 1}\n", "1:24: limits.header_bytes: must be from"},
        Mistake{"control: {group: 100}\n", "1:18: control.group: expected text: put it in quotes"},
        Mistake{"listen: {unix: a}\ncontrol: {socket: a}\n", "2:19: control.socket: is listen.unix, too"}));

INSTANTIATE_TEST_SUITE_P(
    InEntries, Mistakes,
    testing::Values(
        Mistake{"allow: [{when: user.id == \"0\"}]\n", "1:9: key 'allow[0].name' is missing"},
        Mistake{"allow:\n  - {name: a, methods: []}\n", "2:24: allow[0].methods: is empty"},
        Mistake{"allow:\n  - {name: a, methods: [GTE]}\n",
                "2:25: allow[0].methods[0]: expected one of GET, HEAD"},
        Mistake{"allow:\n  - {name: a, methods: [get]}\n", "2:25: allow[0].methods[0]: expected one of GET"},
        Mistake{"allow:\n  - {name: a, methods: GET}\n", "2:24: allow[0].methods: expected a list"},
        Mistake{"allow:\n  - {name: a, paths: []}\n", "2:22: allow[0].paths: is empty"},
        Mistake{"allow:\n  - {name: a, paths: [latest]}\n",
                "2:23: allow[0].paths[0]: a path pattern starts with"},
        Mistake{"allow:\n  - {name: a, paths: [/a, /b/../c]}\n", "2:27: allow[0].paths[1]: a dot segment"},
        Mistake{"allow:\n  - {name: a, paths: [\"/a**\"]}\n", "2:23: allow[0].paths[0]: ** stands for whole"},
        Mistake{"allow:\n  - {name: a, expires: tomorrow}\n", "2:24: allow[0].expires: expected a time"},
        Mistake{"allow:\n  - {name: a, expires: 2099-01-01}\n", "2:24: allow[0].expires: expected a time"},
        Mistake{"allow:\n  - {name: a, imdsv1: alert}\n", "2:23: allow[0].imdsv1: expected one of allow"},
        Mistake{"allow:\n  - {name: a, query: {}}\n", "2:22: allow[0].query: is empty"},
        Mistake{"allow:\n  - {name: a, query: [x]}\n", "2:22: allow[0].query: expected a map"},
        Mistake{"allow:\n  - {name: a, query: {x: 1}}\n",
                "2:26: allow[0].query.x: expected text: put it in quotes"},
        Mistake{"allow:\n  - {name: a, query: {x: [\"a%2fb\"]}}\n",
                "2:27: allow[0].query.x[0]: percent-encoding never matches"},
        Mistake{"allow:\n  - {name: a, query: {\"%78\": a}}\n",
                "2:30: allow[0].query.%78: write the parameter's"},
        Mistake{"allow:\n  - {name: a, query: {x: a, x: b}}\n",
                "2:29: key 'allow[0].query.x' is given twice"},
        Mistake{"allow:\n  - {name: a, endpoints: []}\n", "2:26: allow[0].endpoints: is empty"},
        Mistake{"allow:\n  - {name: a, endpoints: [here]}\n",
                "2:27: allow[0].endpoints[0]: not an IP address"},
        Mistake{"allow:\n  - {name: a, endpoints: [168.63.129.16]}\n",
                "2:5: allow[0]: 168.63.129.16 is not guarded"},
        Mistake{"deny:\n  - {name: a, endpoints: [{address: 169.254.169.254, port: 81}]}\n",
                "2:5: deny[0]: 169.254.169.254:81 is not guarded"},
        Mistake{"allow:\n  - {name: a, endpoints: [{port: 80}]}\n",
                "2:27: key 'allow[0].endpoints[0].address' is missing"},
        Mistake{"deny:\n  - {name: a, imdsv1: allow}\n", "2:15: unknown key 'deny[0].imdsv1'"},
        Mistake{"allow:\n  - {name: a}\ndeny:\n  - {name: a}\n",
                "4:5: deny[0]: the name a is given twice, first on line 2"},
        Mistake{"allow:\n  - name: a\n    when: user.id ==\n", "allow[0].when: "},
        Mistake{"allow:\n  - name: a\n    when: |\n      user.id == \"0\" and\n      process.exe == \"/x\"\n",
                "5:7: allow[0].when: unknown field process.exe"},
        Mistake{"deny:\n  - name: a\n    when: process.nmae == \"x\"\n",
                "3:11: deny[0].when: unknown field process.nmae; did you mean process.name?"},
        Mistake{"allow:\n  - name: a\n    when: 7\n", "3:11: allow[0].when: expected text"},
        Mistake{"allow:\n  - name: a\n    wehn: user.id == \"0\"\n",
                "3:5: unknown key 'allow[0].wehn'; did you mean"}));

TEST_F(SettingsTest, NameEveryProblemInTheOrderOfTheFile) {
  auto const configuration = load("mod: x\nlisten: {port: 0}\nsinks: [{type: x}]\nunattributed: y\nzzz: 1\n");
  std::vector<std::string> starts;
  for (auto const &problem : problems(configuration)) starts.push_back(problem.substr(0, problem.find(':')));
  EXPECT_THAT(starts, testing::ElementsAre("1", "2", "3", "4", "5"));
}

TEST_F(SettingsTest, RefuseGrantsThatProveNothing) {
  struct Weak {
    char const *when, *problem;
  };
  for (auto const &[when, problem] :
       {Weak{"process.executable == \"/x\"", "3:11: allow[0].when: names no user"},
        Weak{"process.executable == \"/x\" and user.id : \"*\"", "3:11: allow[0].when: names no user"},
        Weak{"process.executable == \"/x\" and not user.id == \"0\"", "3:11: allow[0].when: names no user"},
        Weak{"process.executable == \"/x\" and user.id == \"0\" or container.id == null", "names no user"},
        Weak{"process.name == \"x\" and user.id == \"0\"", "3:11: allow[0].when: a process.name is the same"},
        Weak{"process.args == \"x\" and user.id == \"0\"", "process.args is what a process says of itself"},
        Weak{"user.id == \"0\" and not process.command_line : \"x\"", "never holds in a grant"},
        Weak{"user_agent.original : \"x\" and user.id == \"0\"", "never holds in a grant"},
        Weak{"process.working_directory == \"/x\" and user.id == \"0\"",
             "3:11: allow[0].when: a process chooses"},
        Weak{"user.id == \"7\"",
             "3:11: warning: allow[0].when: names no program, so all that user 7 runs"}}) {
    auto const entry = std::string("  - name: a\n    when: |\n      ") + when + "\n";
    auto const allowed = load("allow:\n" + entry);
    EXPECT_EQ(allowed.ok(), std::string(problem).find("warning") != std::string::npos) << when;
    EXPECT_THAT(problems(allowed), Contains(HasSubstr(problem)));
    EXPECT_THAT(problems(load("deny:\n" + entry)), testing::IsEmpty()) << "what accuses need not be proven";
  }
  for (auto const *when :
       {"process.executable == \"/x\" and user.id == \"0\"", "process.executable : \"/x/*\" and user.id == 0",
        "imdsgate.unit == \"a.service\"", "container.id : \"c1*\"",
        "process.executable == \"/x\" and user.name in (\"a\", \"b\") and process.name == \"x\"",
        "process.executable == \"/x\" and user.id == \"1\" or process.executable == \"/y\" and user.id == "
        "\"2\""}) {
    EXPECT_THAT(problems(load(std::string("allow:\n  - name: a\n    when: |\n      ") + when + "\n")),
                testing::IsEmpty())
        << when;
  }
  EXPECT_THAT(problems(load("allow: [{name: a}]")),
              Contains(HasSubstr("1:9: warning: allow[0]: has no when")));
  EXPECT_THAT(problems(load("deny: [{name: a}]")), Contains(HasSubstr("denies every request of everyone")));
  EXPECT_THAT(problems(load("deny: [{name: a, query: {x: y}}]")), testing::IsEmpty());
  EXPECT_THAT(problems(load("allow: [{name: a, when: user.id == \"0\", expires: 2001-01-01T00:00:00Z}]")),
              Contains(HasSubstr("warning: allow[0].expires: has passed")));
}

TEST_F(SettingsTest, PutTheProfilesEntriesBehindTheOperatorsOwn) {
  auto const configuration = load(
      "allow: [{name: own, when: 'imdsgate.unit == \"a.service\"'}]\n"
      "profiles: [{name: aws-sdk, unit: b.service}, cloud-init]\n");
  ASSERT_TRUE(configuration.ok());
  std::vector<std::string> names;
  for (auto const &entry : configuration.policies.enforce->allow) names.push_back(entry.name);
  EXPECT_THAT(names, testing::ElementsAre("own", "aws-sdk/instance-role", "aws-sdk/ecs-task-role",
                                          "aws-sdk/eks-pod-identity", "cloud-init/ec2", "cloud-init/gce",
                                          "cloud-init/azure"));
  auto const shown = show(configuration);
  EXPECT_THAT(shown, HasSubstr("{name: \"aws-sdk\", unit: \"b.service\"}"));
  EXPECT_THAT(shown, HasSubstr("# cloud-init/ec2, cloud-init/gce, cloud-init/azure"));
  EXPECT_THAT(shown, testing::Not(HasSubstr("- name: \"cloud-init/ec2\"")));
}

TEST_F(SettingsTest, WarnOfAPortThatUsersCanTakeAndOfOpenMetrics) {
  EXPECT_THAT(problems(load("listen: {port: 8080}")), Contains(HasSubstr("1:16: warning: listen.port")));
  EXPECT_THAT(problems(load("metrics: {address: 0.0.0.0, port: 9880}")),
              Contains(HasSubstr("warning: metrics")));
}

// Design §4: the published exclusion by working directory is honoured, and everybody is told what it is
// worth.
TEST_F(SettingsTest, WarnOfRulesThatGoByTheWorkingDirectory) {
  auto const warns = [](Configuration const &configuration) {
    for (auto const &problem : configuration.problems) {
      if (problem.warning && problem.text.find("process.working_directory") != std::string::npos)
        return problem.line;
    }
    return 0;
  };
  EXPECT_GT(warns(load("")), 1) << "the shipped rule";
  write("r.yaml",
        "id: r\nname: R\nquery: |\n  process where process.name == \"x\" and\n  not "
        "process.working_directory : \"/opt/*\"\n");
  EXPECT_EQ(warns(load("rules: [r.yaml]")), 5);
  write("r.yaml", kRule);
  EXPECT_EQ(warns(load("rules: [r.yaml]")), 0);
}

TEST_F(SettingsTest, WarnOfARulesFieldThatNoEventHas) {
  write("r.yaml",
        "id: r\nname: R\nquery: |\n  sequence by process.entity_idd\n    [process where procces.name == "
        "\"x\" and "
        "procces.name != \"y\"]\n    [network where ?nothing.known == null and process.pid > 1]\n");
  std::vector<std::string> warnings;
  auto const configuration = load("rules: [r.yaml]");
  EXPECT_TRUE(configuration.ok());
  for (auto const &problem : configuration.problems) {
    if (problem.warning) warnings.push_back(problem.to_string());
  }
  auto const is_about = [](std::string const &text) {
    return text.find("no event has a field") != std::string::npos;
  };
  std::erase_if(warnings, [&](std::string const &text) { return !is_about(text); });
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_THAT(warnings[0], HasSubstr("r.yaml:4:15: "));
  EXPECT_THAT(warnings[0], HasSubstr("process.entity_idd; did you mean process.entity_id?"));
  EXPECT_THAT(warnings[1], HasSubstr("r.yaml:5:20: "));
  EXPECT_THAT(warnings[1], HasSubstr("procces.name; did you mean process.name?"));
}

TEST_F(SettingsTest, PassOnARulesOwnProblems) {
  write("r.yaml", "id: r\nname: R\nseverity: lwo\nquery: process where true\n");
  auto const configuration = load("rules: [r.yaml]");
  EXPECT_FALSE(configuration.ok());
  EXPECT_THAT(configuration.problems.at(0).to_string(), HasSubstr(file("r.yaml") + ":3:11: "));
}

TEST_F(SettingsTest, RefuseTwoRulesOfOneId) {
  write("a.yaml", kRule);
  write("b.yaml", kRule);
  EXPECT_THAT(problems(load("rules: [a.yaml, b.yaml]")),
              Contains(HasSubstr("1:17: rules[1]: a rule with the id")));
}

TEST_F(SettingsTest, TakeTheProviderFromTheFirmware) {
  struct Machine {
    char const *file, *text;
    std::optional<Provider> provider;
  };
  for (auto const &[name, text, provider] :
       {Machine{"sys_vendor", "Amazon EC2\n", Provider::ec2},
        Machine{"bios_version", "4.11.amazon\n", Provider::ec2},
        Machine{"product_name", "Google Compute Engine\n", Provider::gce},
        Machine{"chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n", Provider::azure},
        Machine{"sys_vendor", "Microsoft Corporation\n", std::nullopt},
        Machine{"sys_vendor", "Google\n", std::nullopt}, Machine{"product_name", "\n", std::nullopt}}) {
    fs::remove_all(root_ / "dmi");
    write(std::string("dmi/") + name, text);
    EXPECT_EQ(provider_by_dmi(root_ / "dmi"), provider) << name << ' ' << text;
  }
  fs::remove_all(root_ / "dmi");
  EXPECT_EQ(provider_by_dmi(root_ / "dmi"), std::nullopt);
}

TEST_F(SettingsTest, NeedAProviderOrEndpoints) {
  fs::remove_all(root_ / "dmi");
  EXPECT_THAT(problems(load("provider: auto\n")),
              Contains(HasSubstr("1:11: provider: auto finds no known cloud")));
  EXPECT_FALSE(load("").ok());
  EXPECT_TRUE(load("provider: azure\n").ok());
  auto const guessed = load("endpoints: [{address: 169.254.169.254, port: 80}]\n");
  EXPECT_TRUE(guessed.ok());
  EXPECT_FALSE(guessed.settings.provider_known);
  EXPECT_THAT(problems(guessed), Contains(HasSubstr("warning: provider: auto finds no known cloud")));
}

TEST_F(SettingsTest, RefuseAPathThatNoSocketCanHave) {
  EXPECT_THAT(problems(load("listen: {unix: /" + std::string(200, 'x') + "}")),
              Contains(HasSubstr("longer than")));
}

}  // namespace
}  // namespace imdsgate
