// Which rules of others only keep users away, and whom: tables of cases for both syntaxes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "intercept/foreign_rules.hpp"
#include "intercept/xtables.hpp"
#include "unit/intercept/foreign_cases.hpp"
#include "unit/intercept/network_namespace.hpp"

namespace imdsgate {
namespace {

using test::foreign_cases;
using test::guarded_spec;

std::string with_line_ends(std::string text) {
  for (auto at = text.find(" ; "); at != text.npos; at = text.find(" ; ", at)) text.replace(at, 3, "\n");
  return text;
}

std::string told(OwnerDenial const &denial) {
  IdRanges const all{IdRange{}};
  std::string text = "uid " + to_string(denial.uids);
  if (denial.gids != all) text += " gid " + to_string(denial.gids);
  text += " ->";
  for (auto const &endpoint : denial.endpoints) text += ' ' + endpoint.to_string();
  return text;
}

std::string told(ForeignRules const &found) {
  auto const taken = std::ranges::count(found.rules, ForeignRule::Kind::owners, &ForeignRule::kind);
  std::string text = std::to_string(taken) + '/' + std::to_string(found.rules.size());
  for (auto const &denial : found.denials)
    text += (&denial == &found.denials.front() ? " " : " & ") + told(denial);
  return text;
}

ForeignRules translated(std::string const &table, std::string const &lines, bool ipv6 = false) {
  std::string text = '*' + table + '\n';
  if (lines.find(":OUTPUT") == lines.npos) text += ":OUTPUT ACCEPT [0:0]\n";
  auto const saved = parse_saved_rules(text + with_line_ends(lines) + "\nCOMMIT\n");
  if (!saved) {
    ADD_FAILURE() << saved.error().detail;
    return {};
  }
  return foreign_rules_of_tables(*saved, "iptables-nft", test::of_family(guarded_spec(), ipv6));
}

TEST(OwnerRules, OfIptables) {
  auto const all = foreign_cases("owner_rules.txt");
  EXPECT_GE(all.size(), 40U);
  for (auto const &each : all) {
    auto const found = translated(each.place, each.rule, each.family == "ip6");
    EXPECT_EQ(told(found), each.expected) << "line " << each.line << ": " << each.rule;
  }
}

// Loaded into the kernel, so that what is translated is what this nft prints.
TEST(OwnerRules, OfNft) {
  if (!find_program("nft")) GTEST_SKIP() << "nft is not installed";
  IN_NETWORK_NAMESPACE([] {
    for (auto const &each : foreign_cases("owner_nft_rules.txt")) {
      std::string content = each.rule;
      for (auto at = content.find("OUT;"); at != content.npos; at = content.find("OUT;", at))
        content.replace(at, 3, "type filter hook output priority 0");
      test::run({"nft", "-f", "-"},
                "flush ruleset\ntable " + each.family + " theirs {\n" + content + "\n}\n");
      auto const found = scan_foreign_rules(guarded_spec());
      ASSERT_TRUE(found) << found.error().detail;
      EXPECT_EQ(told(*found), each.expected)
          << "line " << each.line << ": " << test::sh("nft -j list ruleset");
    }
  });
}

TEST(OwnerRules, SaysWhereADenialIsFromAndByWhichRules) {
  auto const found = translated("filter",
                                "-A OUTPUT -d 169.254.169.254/32 -m owner --uid-owner 0 -j ACCEPT ; "
                                "-A OUTPUT -d 169.254.169.254/32 -j DROP");
  ASSERT_EQ(found.denials.size(), 1U);
  EXPECT_EQ(found.denials.front().to_string(),
            "existing: uid all but 0, iptables-nft filter/OUTPUT, may not reach 169.254.169.254:80; "
            "-A OUTPUT -d 169.254.169.254/32 -m owner --uid-owner 0 -j ACCEPT; -A OUTPUT -d "
            "169.254.169.254/32 -j DROP");
}

// The gateway's own are not there yet when it starts, and are when it reads its configuration again.
TEST(OwnerRules, PassesOverTheGatewaysOwnChains) {
  auto const found =
      translated("filter",
                 ":IMDSGATE - [0:0] ; -A OUTPUT -j IMDSGATE ; "
                 "-A IMDSGATE -m mark --mark 0x1d5/0xffff -j RETURN ; "
                 "-A IMDSGATE -d 169.254.169.254/32 -p tcp -j REJECT --reject-with tcp-reset ; "
                 "-A OUTPUT -d 169.254.169.254/32 -m owner --uid-owner 48 -j DROP");
  EXPECT_EQ(told(found), "1/1 uid 48 -> 169.254.169.254:80");
}

TEST(OwnerRules, ATableThatTellsTooManyUsersApartIsNotTakenOver) {
  std::string lines = "-A OUTPUT -d 169.254.169.254/32 -j DROP";
  for (int i = 0; i < 70; ++i) {
    auto const id = std::to_string(1000 + 2 * i);
    lines += " ; -A OUTPUT -m owner --uid-owner " + id + " --gid-owner " + id + " -j ACCEPT";
  }
  EXPECT_EQ(told(translated("filter", lines)), "0/1");
}

// A container instance's own redirect to the agent's credentials. Source: AWS, "Installing the Amazon ECS
// container agent".
TEST(OwnerRules, KnowsTheRedirectToTheEcsAgent) {
  auto spec = guarded_spec();
  spec.endpoints = {{*Address::parse("169.254.170.2"), 80}};
  auto const kind = [&](std::string const &table, std::string const &line) {
    auto const saved = parse_saved_rules('*' + table + "\n:OUTPUT ACCEPT [0:0]\n" + line + "\nCOMMIT\n");
    auto const found = foreign_rules_of_tables(*saved, "iptables-nft", spec);
    return found.rules.empty() ? ForeignRule::Kind::other : found.rules.front().kind;
  };
  using Kind = ForeignRule::Kind;
  std::string const to_agent = " -d 169.254.170.2/32 -p tcp -m tcp --dport 80 -j ";
  EXPECT_EQ(kind("nat", "-A OUTPUT" + to_agent + "REDIRECT --to-ports 51679"), Kind::ecs_agent);
  EXPECT_EQ(kind("nat", "-A PREROUTING" + to_agent + "DNAT --to-destination 127.0.0.1:51679"),
            Kind::ecs_agent);
  EXPECT_EQ(kind("nat", "-A OUTPUT" + to_agent + "REDIRECT --to-ports 51680"), Kind::other);
  EXPECT_EQ(kind("nat", "-A OUTPUT" + to_agent + "DNAT --to-destination 10.0.0.1:51679"), Kind::other);
  EXPECT_EQ(kind("nat", "-A OUTPUT -m owner --uid-owner 5" + to_agent + "REDIRECT --to-ports 51679"),
            Kind::other);
  EXPECT_EQ(kind("nat", "-A OUTPUT -d 169.254.170.2/32 -p tcp -j REDIRECT --to-ports 51679"), Kind::other);
  EXPECT_EQ(kind("filter", "-A OUTPUT" + to_agent + "ACCEPT"), Kind::owners);
}

}  // namespace
}  // namespace imdsgate
