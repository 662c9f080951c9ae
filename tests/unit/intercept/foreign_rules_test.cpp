// Which rules of others are reported: tables of cases, and the live scan over both backends and nft.
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
using test::run;
using test::sh;
using ::testing::HasSubstr;
using ::testing::Not;

// Of a rule and what it says, whatever else is known of it.
auto rule(char const *where, ::testing::Matcher<std::string> const &text) {
  return ::testing::AllOf(::testing::Field(&ForeignRule::where, where),
                          ::testing::Field(&ForeignRule::rule, text));
}

std::string outcome(std::vector<ForeignRule> const &found) {
  if (found.empty()) return "-";
  return found.front().rule.starts_with("cannot be read") ? "cannot be read" : "reported";
}

TEST(ForeignRules, OfIptables) {
  auto const all = foreign_cases("foreign_rules.txt");
  EXPECT_GE(all.size(), 25U);
  for (auto const &each : all) {
    bool const ipv6 = each.family == "ip6";
    auto const saved =
        parse_saved_rules('*' + each.place + "\n:IMDSGATE - [0:0]\n" + each.rule + "\nCOMMIT\n");
    ASSERT_TRUE(saved) << "line " << each.line;
    auto const found =
        foreign_rules_of_tables(*saved, "iptables-nft", test::of_family(guarded_spec(), ipv6)).rules;
    EXPECT_EQ(outcome(found), each.expected) << "line " << each.line << ": " << each.rule;
    if (!found.empty()) {
      EXPECT_THAT(found.front().rule, HasSubstr(each.rule));
      EXPECT_THAT(found.front().where, ::testing::StartsWith("iptables-nft " + each.place + '/'));
    }
  }
}

TEST(ForeignRules, FollowsJumpsFromOutput) {
  auto const found = [](std::string const &jump) {
    auto const saved = parse_saved_rules(
        "*mangle\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n" + jump +
        "\n-A A -j B\n-A B -j CONNMARK --restore-mark\nCOMMIT\n");
    return foreign_rules_of_tables(*saved, "x", guarded_spec()).rules.size();
  };
  EXPECT_EQ(found("-A OUTPUT -j A"), 1U);
  EXPECT_EQ(found("-A OUTPUT -p tcp -g B"), 1U);
  EXPECT_EQ(found("-A PREROUTING -j A"), 0U);
}

// The cases are loaded into the kernel, so that what is analysed is what this nft prints.
TEST(ForeignRules, OfNft) {
  if (!find_program("nft")) GTEST_SKIP() << "nft is not installed";
  IN_NETWORK_NAMESPACE([] {
    auto const all = foreign_cases("foreign_nft_rules.txt");
    std::string ruleset;
    for (auto const &each : all) {
      ruleset += "table " + each.family + " theirs" + std::to_string(each.line) + " {\n";
      if (each.family == "ip") {
        ruleset +=
            "set named { type ipv4_addr; flags interval; elements = { 10.0.0.1, 169.254.0.0/16 } }\n"
            "set empty { type ipv4_addr; }\n"
            "set pairs { type ipv4_addr . inet_service; elements = { 169.254.169.254 . 80 } }\n";
      }
      std::string const hook = each.place == "nat-output"
                                   ? "type nat hook output priority -150"
                                   : "type filter hook " + each.place + " priority -310";
      ruleset += "chain c { " + hook + "; " + each.rule + "\n}\n}\n";
    }
    run({"nft", "-f", "-"}, ruleset);
    auto const scanned = scan_foreign_rules(guarded_spec());
    ASSERT_TRUE(scanned) << scanned.error().detail;
    for (auto const &each : all) {
      std::string const where = "nft " + each.family + " theirs" + std::to_string(each.line) + "/c";
      SCOPED_TRACE(where + ": " + each.rule);
      std::vector<ForeignRule> found;
      std::ranges::copy_if(scanned->rules, std::back_inserter(found),
                           [&](ForeignRule const &rule) { return rule.where == where; });
      EXPECT_EQ(outcome(found), each.expected) << sh("nft -j list ruleset");
      EXPECT_LE(found.size(), 1U);
      if (!found.empty()) {
        EXPECT_THAT(found.front().rule, Not(HasSubstr("{\""))) << "as nft prints it, not as JSON";
      }
    }
  });
}

TEST(ForeignRules, NamesEachOnceOnEveryBackend) {
  IN_NETWORK_NAMESPACE([] {
    for (auto const program : {"iptables-nft", "iptables-legacy"}) {
      sh(std::string(program) + " -t filter -A OUTPUT -d 169.254.169.254 -m owner --uid-owner 48 -j REJECT");
      sh(std::string(program) + " -t nat -A OUTPUT -d 10.0.0.1 -j ACCEPT");
    }
    sh("ip6tables-nft -t security -A OUTPUT -d fd00:ec2::254 -j DROP");
    sh("nft add table inet theirs");
    sh("nft add chain inet theirs out { type filter hook output priority 10 ; }");
    sh("nft add rule inet theirs out ip daddr 169.254.169.254 counter drop");
    // A chain of nft's own in a table of iptables': iptables-nft-save does not show it.
    sh("nft add chain ip filter native { type filter hook output priority 20 ; }");
    sh("nft add rule ip filter native ip daddr 169.254.169.254 drop");
    auto fenced = guarded_spec();
    fenced.fence = true;
    auto const expected = ::testing::UnorderedElementsAre(
        rule("iptables-nft filter/OUTPUT", HasSubstr("-m owner --uid-owner 48 -j REJECT")),
        rule("iptables-legacy filter/OUTPUT", HasSubstr("-m owner --uid-owner 48 -j REJECT")),
        rule("ip6tables-nft security/OUTPUT", HasSubstr("-d fd00:ec2::254/128 -j DROP")),
        rule("nft inet theirs/out", "ip daddr 169.254.169.254 counter drop"),
        rule("nft ip filter/native", "ip daddr 169.254.169.254 drop"));
    auto const before = scan_foreign_rules(fenced);
    ASSERT_TRUE(before) << before.error().detail;
    EXPECT_THAT(before->rules, expected);
    // Our own rules never count.
    for (auto const backend : {FirewallBackend::legacy, FirewallBackend::nft}) {
      fenced.backend = backend;
      auto const applied = apply_firewall(fenced);
      ASSERT_TRUE(applied) << applied.error().detail;
      auto const after = scan_foreign_rules(fenced);
      ASSERT_TRUE(after);
      EXPECT_THAT(after->rules, expected);
    }
  });
}

TEST(ForeignRules, ReportsTablesNobodyCanReadWithoutNft) {
  IN_NETWORK_NAMESPACE([] {
    sh("nft add table inet theirs");
    sh("iptables-nft -t filter -A OUTPUT -d 10.0.0.1 -j ACCEPT");
    ASSERT_EQ(::mount("tmpfs", "/run", "tmpfs", MS_REMOUNT, nullptr), 0);
    auto const nft = *find_program("nft");
    // Executable for nobody, root included.
    sh("cp /dev/null /run/nft");
    sh("chmod 644 /run/nft");
    ASSERT_EQ(::mount("/run/nft", nft.c_str(), nullptr, MS_BIND, nullptr), 0) << std::strerror(errno);
    auto const found = scan_foreign_rules(guarded_spec());
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_THAT(found->rules,
                ::testing::ElementsAre(rule("nft inet theirs", "cannot be read: nft is not installed")));
  });
}

TEST(ForeignRules, JsonThatCannotBeReadIsAnError) {
  for (std::string const text : {"", "{", "[]", "{\"nftables\": 1}"}) {
    EXPECT_FALSE(foreign_rules_of_nft(text, "", {}, {}, guarded_spec())) << text;
  }
}

TEST(ForeignRules, ShowsJsonWhereTheListingHasNoText) {
  std::string const json =
      R"({"nftables": [{"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 7, "expr": [)"
      R"({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "169.254.169.254"}}, {"drop": null}]}}]})";
  auto const plain = foreign_rules_of_nft(json, "", {}, {}, guarded_spec());
  ASSERT_TRUE(plain);
  ASSERT_EQ(plain->rules.size(), 1U);
  EXPECT_THAT(plain->rules.front().rule, HasSubstr("\"daddr\""));
  auto const listed = foreign_rules_of_nft(json,
                                           "table ip t { # handle 1\n\tchain c { # handle 2\n\t\tip daddr { "
                                           "169.254.169.254,\n\t\t\t 1.2.3.4 } drop # handle 7\n\t}\n}\n",
                                           {}, {}, guarded_spec());
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->rules.front().rule, "ip daddr { 169.254.169.254, 1.2.3.4 } drop");
}

}  // namespace
}  // namespace imdsgate
