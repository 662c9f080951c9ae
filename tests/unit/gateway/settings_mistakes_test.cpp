// What a configuration may not say, and what draws a warning: each with its place.
#include <gmock/gmock.h>

#include "gateway/dmi.hpp"
#include "settings_fixture.hpp"

namespace imdsgate {
namespace {

using namespace test;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

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
        Mistake{"containers: {}\n", "1:13: key 'containers.bridges' is missing"},
        Mistake{"containers: {bridges: []}\n", "1:23: containers.bridges: is empty"},
        Mistake{"containers: {bridges: docker0}\n", "1:23: containers.bridges: expected a list"},
        Mistake{"containers: {bridges: [\"br+\"]}\n", "1:24: containers.bridges[0]: expected an interface's name, found br+"},
        Mistake{"containers: {bridges: [a, a]}\n", "1:27: containers.bridges[1]: a is given twice"},
        Mistake{"containers: {bridges: [a], hop_limit: 0}\n", "1:39: containers.hop_limit: expected a whole number from 1 to 64"},
        Mistake{"containers: {hop_limit: 1, runtime: /run/docker.sock}\n", "1:13: key 'containers.bridges' is missing"},
        Mistake{"containers: {runtime: 7}\n", "1:23: containers.runtime: expected text: put it in quotes"},
        Mistake{"containers: {bridges: [docker0], runtime_api: cri}\n", "1:34: unknown key 'containers.runtime_api'"},
        Mistake{"containers: {bridge: [a]}\n", "1:14: unknown key 'containers.bridge'; did you mean 'bridges'?"},
        Mistake{"upstream: {connect_timeout: 500}\n", "1:29: upstream.connect_timeout: expected a duration"},
        Mistake{"upstream: {idle_timeout: 0s}\n", "1:26: upstream.idle_timeout: must be from"},
        Mistake{"on_stop: leave\n", "1:10: on_stop: expected one of auto, keep, remove"},
        Mistake{"existing: translated\n", "1:11: existing: expected one of refuse, translate, ignore"},
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
        Weak{"process.executable == \"/x\" and imdsgate.unit : \"*.SERVICE\"",
             "3:11: allow[0].when: names no user"},
        Weak{"user.id == \"7\" and process.executable : \"/*\"",
             "3:11: warning: allow[0].when: names no program, so all that user 7 runs"},
        Weak{"user.id == \"7\" and imdsgate.unit : (\"a.service\", \"?*.scope\")",
             "3:11: warning: allow[0].when: names no program, so all that user 7 runs"},
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

TEST_F(SettingsTest, NeedAProviderOrEndpoints) {
  std::filesystem::remove_all(root_ / "dmi");
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
