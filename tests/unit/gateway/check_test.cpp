#include "gateway/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace imdsgate {
namespace {

class CheckTest : public testing::Test {
 protected:
  CheckTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "imdsgate-check-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    passwd_ = root_ / "passwd";
  }
  ~CheckTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  CheckReport check(std::string const &text) {
    std::ofstream(root_ / "imdsgate.yaml") << text;
    std::ofstream(root_ / "passwd")
        << "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n"
           "agent:x:1001:1001::/:/usr/sbin/nologin\nbroken\nempty:x:1002:1002::/:\n"
           "twin:x:1000:1000::/home/alice:/bin/zsh\n";
    return check_configuration(root_ / "imdsgate.yaml", true, root_, passwd_);
  }
  std::filesystem::path root_, passwd_;
};

TEST_F(CheckTest, PrintsEveryErrorAndExitsTwo) {
  auto const report = check("provider: ec2\nmode: x\nlisten: {port: 0}\nrules: []\n");
  EXPECT_EQ(report.exit_status, 2);
  EXPECT_THAT(report.problems, testing::HasSubstr("imdsgate.yaml:2:7: mode: expected one of audit, enforce"));
  EXPECT_THAT(report.problems, testing::HasSubstr("imdsgate.yaml:3:16: listen.port: expected"));
  EXPECT_EQ(report.effective, "");
}

TEST_F(CheckTest, ExitsZeroWithWarningsOnly) {
  auto const report = check("provider: ec2\nlisten: {port: 8080}\nrules: []\n");
  EXPECT_EQ(report.exit_status, 0);
  EXPECT_THAT(report.problems, testing::HasSubstr("imdsgate.yaml:2:16: warning: listen.port: "));
  EXPECT_THAT(report.effective, testing::HasSubstr("port: 8080"));
}

TEST_F(CheckTest, SaysNothingOfAGoodFile) {
  EXPECT_EQ(check("provider: ec2\nrules: []\n").problems, "");
}

std::string with_entries(std::string const &entries) {
  return "provider: ec2\nrules: []\n" + entries;
}

TEST_F(CheckTest, FindsEntriesThatNeverApply) {
  auto const report = check(with_entries(R"(
allow:
  - {name: wide, when: 'process.executable == "/opt/a" and user.id == "1001"', paths: [/latest/**]}
  - {name: shadowed, when: 'process.executable == "/opt/a" and user.id == "1001"', paths: [/latest/user-data]}
  - {name: more, when: 'process.executable == "/opt/a" and user.id == "1001"', paths: [/latest/user-data], imdsv1: allow}
  - {name: denied, when: 'process.executable == "/opt/b" and user.id == "1001"', paths: [/x/y]}
  - {name: other, when: 'process.executable == "/opt/c" and user.id == "1001"', paths: [/latest/user-data]}
deny:
  - {name: no-x, paths: [/x/*]}
  - {name: no-y, paths: [/x/y], methods: [GET]}
  - {name: gone, paths: [/latest/**], expires: 2001-01-01T00:00:00Z}
)"));
  EXPECT_EQ(report.exit_status, 0);
  EXPECT_THAT(
      report.problems,
      testing::HasSubstr("imdsgate.yaml:6:5: warning: entry shadowed: never applies: wide on line 5"));
  EXPECT_THAT(report.problems,
              testing::HasSubstr(":8:5: warning: entry denied: never applies: no-x on line 11"));
  EXPECT_THAT(report.problems,
              testing::HasSubstr(":12:5: warning: entry no-y: never applies: no-x on line 11"));
  for (auto const *name : {"entry more", "entry other", "entry wide", "by gone"})
    EXPECT_THAT(report.problems, testing::Not(testing::HasSubstr(name)));
}

TEST_F(CheckTest, FindsWhoElseGetsAGrant) {
  auto const report = check(with_entries(R"(
allow:
  - {name: script, when: 'process.executable == "/usr/bin/python3.11" and user.id == "1001"', paths: [/latest/a]}
  - {name: person, when: 'process.executable == "/opt/a" and user.id == "1000"', paths: [/latest/b]}
  - {name: default-shell, when: 'process.executable == "/opt/a" and user.name == "empty"', paths: [/latest/c]}
  - {name: unit, when: 'process.executable : "/usr/bin/node" and user.id == "1000" and imdsgate.unit == "a.service"', paths: [/latest/d]}
  - {name: root, when: 'process.executable == "/opt/a" and user.id == "0"', paths: [/latest/e]}
  - {name: service, when: 'process.executable == "/opt/a" and user.id == "1001"', paths: [/latest/f]}
)"));
  EXPECT_EQ(report.exit_status, 0);
  EXPECT_THAT(report.problems,
              testing::HasSubstr(":5:5: warning: entry script: /usr/bin/python3.11 runs what it is given: "
                                 "every script of user 1001 gets this grant; add imdsgate.unit"));
  EXPECT_THAT(report.problems,
              testing::HasSubstr(":6:5: warning: entry person: user 1000 (alice) logs in with /bin/bash"));
  EXPECT_THAT(
      report.problems,
      testing::HasSubstr(":7:5: warning: entry default-shell: user 1002 (empty) logs in with /bin/sh"));
  for (auto const *name : {"entry unit", "entry root", "entry service"})
    EXPECT_THAT(report.problems, testing::Not(testing::HasSubstr(name)));
}

TEST_F(CheckTest, FindsWhoElseIsExceptedFromVersionTwo) {
  auto const report =
      check(with_entries("ec2: {imdsv1: {except: [/usr/bin/s3fs, /usr/bin/python3.11, /bin/bash]}}\n"));
  EXPECT_EQ(report.exit_status, 0);
  EXPECT_THAT(
      report.problems,
      testing::HasSubstr("imdsgate.yaml:3:40: warning: ec2.imdsv1.except[1]: /usr/bin/python3.11 runs what "
                         "it is given: every script is excepted"));
  EXPECT_THAT(report.problems, testing::HasSubstr("except[2]: /bin/bash runs what it is given"));
  EXPECT_THAT(report.problems, testing::Not(testing::HasSubstr("s3fs")));
}

// A pattern gives a grant to whatever it matches, as it is matched.
TEST_F(CheckTest, FindsWhoElseGetsAGrantByAPattern) {
  auto const report = check(with_entries(R"(
allow:
  - {name: upper, when: 'process.executable : "/USR/BIN/PYTHON3*" and user.id == "1001"', paths: [/latest/a]}
  - {name: open, when: 'process.executable : "/usr/bin/py*" and user.id == "1001"', paths: [/latest/b]}
  - {name: version, when: 'process.executable : "/opt/venv/bin/pytho?3.*" and user.id == "1001"', paths: [/latest/c]}
  - {name: folder, when: 'process.executable : "/usr/*" and user.id == "1001"', paths: [/latest/d]}
  - {name: person, when: 'process.executable == "/opt/a" and user.name : "ALI*"', paths: [/latest/e]}
  - {name: twin, when: 'process.executable == "/opt/a" and user.name : "TWIN"', paths: [/latest/f]}
  - {name: other-case, when: 'process.executable == "/opt/Bash" and user.name == "Alice"', paths: [/latest/g]}
  - {name: vendor, when: 'process.executable : "/opt/vendor/*" and user.id == "1001"', paths: [/latest/h]}
  - {name: agents, when: 'process.executable : "/usr/bin/agent-*" and user.id == "1001"', paths: [/latest/i]}
)"));
  EXPECT_EQ(report.exit_status, 0) << report.problems;
  for (auto const *name : {"upper: /USR/BIN/PYTHON3*", "open: /usr/bin/py*",
                           "version: /opt/venv/bin/pytho?3.*", "folder: /usr/*"})
    EXPECT_THAT(report.problems, testing::HasSubstr("entry " + std::string(name) + " runs what it is given"));
  EXPECT_THAT(report.problems, testing::HasSubstr("entry person: user 1000 (alice) logs in with /bin/bash"));
  EXPECT_THAT(report.problems, testing::HasSubstr("entry twin: user 1000 (twin) logs in with /bin/zsh"));
  for (auto const *name : {"entry other-case", "entry vendor", "entry agents", "person: user 1000 (twin)"})
    EXPECT_THAT(report.problems, testing::Not(testing::HasSubstr(name)));
}

TEST_F(CheckTest, WarnsOnceWhenNobodyKnowsWhoLogsIn) {
  for (auto const &unreadable : {root_ / "none", root_}) {  // a directory can be opened, but not read
    passwd_ = unreadable;
    auto const report = check("provider: ec2\nrules: []\n");
    EXPECT_EQ(report.exit_status, 0);
    EXPECT_THAT(report.problems, testing::MatchesRegex("[^\n]*imdsgate.yaml: warning: who logs in is not "
                                                       "known[^\n]*: " +
                                                       unreadable.string() + ": [^\n]+\n"));
  }
}

TEST_F(CheckTest, FindsGrantsWiderThanTheirProfile) {
  auto const report = check(with_entries(R"(
allow:
  - {name: all, when: 'process.executable == "/usr/bin/kubelet" and user.id == "0"'}
  - {name: ssm, when: 'process.executable == "/usr/bin/amazon-ssm-agent" and user.id == "0"', paths: [/latest/api/token, /latest/user-data]}
  - {name: fits, when: 'process.executable == "/usr/bin/ssm-agent-worker" and user.id == "0"', paths: [/latest/meta-data/iam/security-credentials/*]}
)"));
  EXPECT_THAT(
      report.problems,
      testing::HasSubstr("entry all: gives every path; what that agent needs is in the profile kubelet"));
  EXPECT_THAT(report.problems, testing::HasSubstr("entry ssm: gives /latest/user-data, which that agent does "
                                                  "not need by the profile amazon-ssm-agent"));
  EXPECT_THAT(report.problems, testing::Not(testing::HasSubstr("entry fits")));
}

TEST_F(CheckTest, FindsGrantsThatAnyPodMayHave) {
  std::string const entries = R"(
allow:
  - {name: any-pod, when: 'container.name == "agent"', paths: [/latest/**]}
  - {name: any-image, when: 'container.image.name : "registry.example/agent:*"', paths: [/latest/**]}
  - {name: one-namespace, when: 'container.name == "agent" and orchestrator.namespace == "kube-system"', paths: [/latest/**]}
  - {name: one-id, when: 'container.name == "agent" and container.id == "5e1f"', paths: [/latest/**]}
)";
  auto const by = [&](std::string const &containers) { return check(with_entries("containers: " + containers + entries)).problems; };
  auto const cri = by("{runtime: /run/containerd/containerd.sock, runtime_api: cri}");
  EXPECT_THAT(cri, testing::HasSubstr(":5:5: warning: entry any-pod: whoever creates a pod chooses the name"));
  EXPECT_THAT(cri, testing::HasSubstr("entry any-image: whoever creates a pod"));
  EXPECT_THAT(cri, testing::Not(testing::HasSubstr("entry one-namespace: whoever")));
  EXPECT_THAT(cri, testing::Not(testing::HasSubstr("entry one-id: whoever")));
  EXPECT_THAT(by("{runtime: /run/docker.sock}"), testing::Not(testing::HasSubstr("creates a pod")));
}

}  // namespace
}  // namespace imdsgate
