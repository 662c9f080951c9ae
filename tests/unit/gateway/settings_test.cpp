// What a configuration says, and how it is shown.
#include <gmock/gmock.h>
#include <unistd.h>

#include <regex>
#include <sstream>

#include "gateway/dmi.hpp"
#include "settings_fixture.hpp"

namespace imdsgate {
namespace {

using namespace test;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

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
limits: {connections: 7, connections_per_uid: 3, requests_per_second: 20, header_bytes: 8KiB, body_bytes: 2MiB, header_timeout: 1500ms, attribution_timeout: 700ms}
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
  EXPECT_EQ(settings.limits.attribution_timeout, milliseconds(700));
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

TEST_F(SettingsTest, ReadContainers) {
  auto const off = load("");
  EXPECT_TRUE(off.settings.bridges.empty());
  EXPECT_TRUE(off.policies.enforce->token_crosses);
  auto const on = load("containers: {bridges: [docker0], hop_limit: 1}\n");
  EXPECT_EQ(on.settings.bridges, std::vector<std::string>{"docker0"});
  EXPECT_FALSE(on.policies.enforce->token_crosses);
  EXPECT_TRUE(load("containers: {bridges: [docker0], hop_limit: 2}\n").policies.enforce->token_crosses);
  EXPECT_THAT(show(on), HasSubstr("containers: {bridges: [\"docker0\"], hop_limit: 1}\n"));
  EXPECT_EQ(on.settings.container_runtime, std::nullopt);
  auto const asked = load("containers: {runtime: /run/docker.sock}\n");
  EXPECT_EQ(asked.settings.container_runtime, "/run/docker.sock");
  EXPECT_TRUE(asked.settings.bridges.empty());
  EXPECT_THAT(show(asked), HasSubstr("containers: {runtime: \"/run/docker.sock\", runtime_api: docker}\n"));
  EXPECT_EQ(asked.settings.container_api, ContainerApi::docker);
  auto const by_cri = load("containers: {runtime: /run/containerd/containerd.sock, runtime_api: cri}\n");
  EXPECT_EQ(by_cri.settings.container_api, ContainerApi::cri);
}

TEST_F(SettingsTest, AreShownSoThatTheyCanBeReadAgain) {
  write("rules/a.yaml", kRule);
  for (auto const *text :
       {"", kEverything, kImdsv1, kBinding, "containers: {bridges: [docker0, br-1.2], hop_limit: 1, runtime: /run/docker.sock}\n", "rules: []\nsinks: []\n", "control: {socket: \"a: b # c\"}"}) {
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

// check looks at no firewall, so it names what does.
TEST_F(SettingsTest, SayWhereToSeeWhatIsTranslated) {
  auto const shown = show(load("existing: translate\n"));
  EXPECT_THAT(shown, HasSubstr("existing: translate  # intercept status says what it comes to on this host\n"));
  EXPECT_EQ(show(load(shown)), shown);
  EXPECT_THAT(show(load("")), testing::Not(HasSubstr("intercept status")));
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
  EXPECT_EQ(configuration.policies.audit->allow.size(), 9u) << "one of its own, three and five of the profiles";
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
                                          "cloud-init/azure", "cloud-init/azure-goal-state",
                                          "cloud-init/azure-ready"));
  auto const shown = show(configuration);
  EXPECT_THAT(shown, HasSubstr("{name: \"aws-sdk\", unit: \"b.service\"}"));
  EXPECT_THAT(shown, HasSubstr("# cloud-init/ec2, cloud-init/gce, cloud-init/azure, "));
  EXPECT_THAT(shown, testing::Not(HasSubstr("- name: \"cloud-init/ec2\"")));
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
    std::filesystem::remove_all(root_ / "dmi");
    write(std::string("dmi/") + name, text);
    EXPECT_EQ(provider_by_dmi(root_ / "dmi"), provider) << name << ' ' << text;
  }
  std::filesystem::remove_all(root_ / "dmi");
  EXPECT_EQ(provider_by_dmi(root_ / "dmi"), std::nullopt);
}

}  // namespace
}  // namespace imdsgate
