// `imdsgate intercept` as a person or systemd runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "unit/intercept/network_namespace.hpp"

namespace imdsgate {
namespace {

using test::sh;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

bool have_binary() {
  return ::access(IMDSGATE_BINARY, X_OK) == 0;
}

CommandOutput intercept(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {IMDSGATE_BINARY, "intercept"});
  auto const output = Command(arguments).run();
  EXPECT_TRUE(output);
  return output ? *output : CommandOutput{-1, "", ""};
}

// A configuration in this namespace's own /run.
std::string configure(std::string const &lines) {
  std::string const path = "/run/imdsgate.yaml";
  std::ofstream(path) << "provider: ec2\nendpoints:\n  - {address: 169.254.169.254, port: 80}\n"
                         "  - {address: \"fd00:ec2::254\", port: 80}\n"
                      << lines;
  return path;
}

std::string chains() {
  std::string text;
  for (auto const program : {"iptables-nft-save", "ip6tables-nft-save"}) text += sh(program);
  return text;
}

auto const kRedirect = HasSubstr("-j REDIRECT --to-ports 880");
auto const kFence = HasSubstr("-j REJECT --reject-with tcp-reset");

TEST(InterceptCommand, InstallsShowsAndRemoves) {
  if (!have_binary()) GTEST_SKIP() << "the binary is not built";
  IN_NETWORK_NAMESPACE([] {
    auto const config = configure("mode: enforce\n");
    auto const before = intercept({"status", "--config", config, "--backend", "nft"});
    EXPECT_EQ(before.exit_code, 1);
    EXPECT_THAT(before.out,
                HasSubstr("IPv4 (nft backend): NOT as specified\n  redirect  not in place, should be\n"));
    auto const installed = intercept({"install", "--config", config, "--backend", "nft"});
    EXPECT_EQ(installed.exit_code, 0) << installed.err;
    EXPECT_THAT(installed.err, HasSubstr("warning: nothing listens on port 880"));
    EXPECT_THAT(chains(), AllOf(kRedirect, kFence));
    auto const after = intercept({"status", "--config", config, "--backend", "nft"});
    EXPECT_EQ(after.exit_code, 0) << after.out;
    EXPECT_THAT(after.out,
                HasSubstr("IPv6 (nft backend): as specified\n  redirect  in place\n  fence     in place\n"));
    EXPECT_EQ(intercept({"remove", "--config", "/nonexistent"}).exit_code, 0) << "whatever the configuration";
    EXPECT_EQ(chains(), "");
  });
}

TEST(InterceptCommand, RefusesBesideRulesOfOthersUnlessTold) {
  if (!have_binary()) GTEST_SKIP() << "the binary is not built";
  IN_NETWORK_NAMESPACE([] {
    sh("iptables-nft -A OUTPUT -d 169.254.169.254 -m owner --uid-owner 48 -j REJECT");
    auto const refused =
        intercept({"install", "--config", configure("existing: refuse\n"), "--backend", "nft"});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_THAT(refused.err,
                AllOf(HasSubstr("iptables-nft filter/OUTPUT: -A OUTPUT -d 169.254.169.254/32 -m owner "
                                "--uid-owner 48 -j REJECT"),
                      HasSubstr("not installed: other rules speak of guarded addresses")));
    EXPECT_THAT(chains(), Not(HasSubstr("IMDSGATE")));
    auto const translated =
        intercept({"install", "--config", configure("existing: translate\n"), "--backend", "nft"});
    EXPECT_EQ(translated.exit_code, 0) << translated.err;
    EXPECT_THAT(translated.err, HasSubstr("existing: uid 48, iptables-nft filter/OUTPUT, may not reach "
                                          "169.254.169.254:80; -A OUTPUT"));
    EXPECT_THAT(chains(), kRedirect);
    EXPECT_EQ(intercept({"remove"}).exit_code, 0);
    auto const told = intercept({"install", "--config", configure("existing: ignore\n"), "--backend", "nft"});
    EXPECT_EQ(told.exit_code, 0) << told.err;
    EXPECT_THAT(chains(), AllOf(kRedirect, Not(HasSubstr("tcp-reset"))));
  });
}

TEST(InterceptCommand, OnStopLeavesWhatTheConfigurationSays) {
  if (!have_binary()) GTEST_SKIP() << "the binary is not built";
  struct Case {
    std::string settings;
    bool fence_before, fence_after;
  };
  IN_NETWORK_NAMESPACE([] {
    for (auto const &[settings, fence_before, fence_after] :
         {Case{"mode: enforce\n", true, true}, Case{"mode: enforce\n", false, true},
          Case{"mode: audit\n", false, false}, Case{"mode: audit\n", true, true},
          Case{"mode: audit\non_stop: keep\n", false, true},
          Case{"mode: enforce\non_stop: remove\n", true, false}}) {
      SCOPED_TRACE(settings + (fence_before ? "with" : "without") + " a fence before");
      auto const before = configure(fence_before ? "mode: enforce\n" : "mode: audit\n");
      EXPECT_EQ(intercept({"install", "--config", before, "--backend", "nft"}).exit_code, 0);
      auto const stopped =
          intercept({"remove", "--on-stop", "--config", configure(settings), "--backend", "nft"});
      EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
      EXPECT_THAT(chains(), Not(kRedirect));
      EXPECT_EQ(chains().find("tcp-reset") != std::string::npos, fence_after);
      EXPECT_EQ(intercept({"remove"}).exit_code, 0);
      EXPECT_EQ(chains(), "");
    }
  });
}

TEST(InterceptCommand, WorksInAnotherNamespace) {
  if (!have_binary()) GTEST_SKIP() << "the binary is not built";
  IN_NETWORK_NAMESPACE([] {
    sh("ip netns add other");
    auto const config = configure("");
    auto const installed = intercept({"install", "--config", config, "--backend", "nft", "--netns", "other"});
    EXPECT_EQ(installed.exit_code, 0) << installed.err;
    EXPECT_EQ(chains(), "");
    EXPECT_THAT(sh("ip netns exec other iptables-nft-save"), kRedirect);
    EXPECT_EQ(intercept({"status", "--config", config, "--netns", "/run/netns/other", "--backend", "nft"})
                  .exit_code,
              0);
    EXPECT_EQ(intercept({"remove", "--netns", "other"}).exit_code, 0);
    EXPECT_EQ(sh("ip netns exec other iptables-nft-save"), "");
    auto const absent = intercept({"remove", "--netns", "absent"});
    EXPECT_EQ(absent.exit_code, 1);
    EXPECT_THAT(absent.err, HasSubstr("/run/netns/absent: No such file"));
  });
}

}  // namespace
}  // namespace imdsgate
