// The firewall against the kernel, in network namespaces of the tests' own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "intercept/firewall.hpp"
#include "intercept/nft_table.hpp"
#include "intercept/xtables.hpp"
#include "unit/intercept/network_namespace.hpp"

namespace imdsgate {
namespace {

using test::run;
using test::sh;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FirewallSpec spec_for(FirewallBackend backend, bool fence = false) {
  FirewallSpec spec;
  spec.endpoints = {{*Address::parse("169.254.169.254"), 80}, {*Address::parse("fd00:ec2::254"), 80}};
  spec.exemption.uid = 65534;
  spec.fence = fence;
  spec.backend = backend;
  return spec;
}

std::string without_counters(std::string const &text) {
  static std::regex const kNoise("packets [0-9]+ bytes [0-9]+|\\[[0-9]+:[0-9]+\\]|#[^\n]*\n");
  return std::regex_replace(text, kNoise, "");
}

// Everything iptables and nft show of this namespace.
std::string snapshot() {
  std::string text;
  for (auto const program :
       {"iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"}) {
    text += std::string(program) + '\n' + sh(program);
  }
  return without_counters(text + sh("nft list ruleset"));
}

std::string tables(FirewallBackend backend, bool ipv6) {
  return without_counters(
      sh(std::string(ipv6 ? "ip6tables-" : "iptables-") + std::string(to_string(backend)) + "-save"));
}

void expect_as_specified(FirewallSpec const &spec) {
  auto const status = firewall_status(spec);
  ASSERT_TRUE(status) << status.error().detail;
  ASSERT_EQ(status->families.size(), 2U);
  for (auto const &family : status->families) {
    EXPECT_TRUE(family.as_specified) << (family.ipv6 ? "IPv6 " : "IPv4 ")
                                     << ::testing::PrintToString(family.differences);
    EXPECT_EQ(family.redirect, spec.redirect);
    EXPECT_EQ(family.fence, spec.fence);
  }
}

void apply(FirewallSpec const &spec) {
  auto const applied = apply_firewall(spec);
  ASSERT_TRUE(applied) << applied.error().detail;
}

void take_out() {
  auto const removed = remove_firewall();
  ASSERT_TRUE(removed) << removed.error().detail;
}

class EachBackend : public ::testing::TestWithParam<FirewallBackend> {
 protected:
  void load_legacy_tables() const {
    for (bool const ipv6 : {false, true}) {
      for (auto const table : {"nat", "filter"}) run({command(ipv6), "-t", table, "-S"});
    }
  }
  std::string command(bool ipv6 = false) const {
    return std::string(ipv6 ? "ip6tables-" : "iptables-") + std::string(to_string(GetParam()));
  }
};

INSTANTIATE_TEST_SUITE_P(Firewall, EachBackend,
                         ::testing::Values(FirewallBackend::nft, FirewallBackend::legacy),
                         [](auto const &info) { return std::string(to_string(info.param)); });

TEST_P(EachBackend, AppliesThreeTimesWithoutADuplicate) {
  IN_NETWORK_NAMESPACE([&] {
    auto const spec = spec_for(GetParam(), true);
    apply(spec);
    auto const first = tables(GetParam(), false) + tables(GetParam(), true);
    EXPECT_THAT(first, HasSubstr("-A OUTPUT -p tcp -j IMDSGATE\n"));
    EXPECT_THAT(first, HasSubstr("-A OUTPUT -p tcp -j IMDSGATE-FENCE\n"));
    for (int i = 0; i < 2; ++i) apply(spec);
    EXPECT_EQ(tables(GetParam(), false) + tables(GetParam(), true), first);
    expect_as_specified(spec);
  });
}

FirewallSpec with_bridge(FirewallSpec spec) {
  spec.bridges = {"br0"};
  spec.interfaces = {{"br0", *Address::parse("10.7.0.1")}, {"br0", *Address::parse("fd07::1")}};
  return spec;
}

TEST_P(EachBackend, GuardsABridgeWhileItIsNamed) {
  IN_NETWORK_NAMESPACE([&] {
    if (GetParam() == FirewallBackend::legacy) load_legacy_tables();
    auto const before = snapshot();
    auto const plain = spec_for(GetParam(), true), bridged = with_bridge(plain);
    for (int i = 0; i < 2; ++i) apply(bridged);
    expect_as_specified(bridged);
    for (bool const ipv6 : {false, true}) {
      EXPECT_THAT(tables(GetParam(), ipv6), HasSubstr("-A PREROUTING -p tcp -j IMDSGATE-BRIDGES\n"));
      EXPECT_THAT(tables(GetParam(), ipv6), HasSubstr("-A FORWARD -p tcp -j IMDSGATE-BRIDGE-FENCE\n"));
      run({command(ipv6), "-t", "nat", "-F", "PREROUTING"});
    }
    auto const status = firewall_status(bridged);
    ASSERT_TRUE(status);
    for (auto const &family : status->families) EXPECT_EQ(family.differences.size(), 1U) << family.ipv6;
    apply(bridged);
    expect_as_specified(bridged);
    apply(plain);
    expect_as_specified(plain);
    EXPECT_THAT(tables(GetParam(), false), ::testing::Not(HasSubstr("BRIDGE")));
    take_out();
    EXPECT_EQ(snapshot(), before);
  });
}

TEST_P(EachBackend, LeavesTheTablesAsTheyWere) {
  IN_NETWORK_NAMESPACE([&] {
    // Legacy tables, once loaded, stay: they are loaded before the first look.
    if (GetParam() == FirewallBackend::legacy) load_legacy_tables();
    auto const before = snapshot();
    apply(with_bridge(spec_for(GetParam(), true)));
    EXPECT_NE(snapshot(), before);
    take_out();
    EXPECT_EQ(snapshot(), before);
    take_out();
    EXPECT_EQ(snapshot(), before);
  });
}

TEST_P(EachBackend, LeavesForeignRulesBeforeAfterAndBetween) {
  IN_NETWORK_NAMESPACE([&] {
    for (bool const ipv6 : {false, true}) {
      std::string const one = ipv6 ? "fd01::1" : "10.0.0.1", two = ipv6 ? "fd01::2" : "10.0.0.2";
      run({command(ipv6), "-t", "nat", "-N", "THEIRS"});
      run({command(ipv6), "-t", "nat", "-A", "THEIRS", "-d", one, "-m", "comment", "--comment",
           "it's \"quoted\" \\", "-j", "ACCEPT"});
      for (auto const table : {"nat", "filter"}) {
        run({command(ipv6), "-t", table, "-A", "OUTPUT", "-d", one, "-j", "ACCEPT"});
        run({command(ipv6), "-t", table, "-A", "OUTPUT", "-d", two, "-j", "ACCEPT"});
        run({command(ipv6), "-t", table, "-A", "OUTPUT", "-d", one, "-j", "ACCEPT"});
      }
    }
    auto const before = snapshot();
    auto const spec = spec_for(GetParam(), true);
    apply(spec);
    expect_as_specified(spec);
    // Someone puts rules around ours and moves it into their midst.
    for (auto const table : {"nat", "filter"}) {
      run({command(), "-t", table, "-I", "OUTPUT", "1", "-d", "10.9.9.9", "-j", "ACCEPT"});
      run({command(), "-t", table, "-D", "OUTPUT", "1"});
    }
    run({command(), "-t", "nat", "-D", "OUTPUT", "1"});
    run({command(), "-t", "nat", "-I", "OUTPUT", "3", "-p", "tcp", "-j", "IMDSGATE"});
    take_out();
    EXPECT_EQ(snapshot(), before);
  });
}

TEST_P(EachBackend, RepairsPartialStates) {
  IN_NETWORK_NAMESPACE([&] {
    auto const spec = spec_for(GetParam(), true);
    run({command(), "-t", "nat", "-N", "THEIRS"});
    apply(spec);
    auto const whole = tables(GetParam(), false);
    std::vector<std::vector<std::vector<std::string>>> const damages{
        {{"-t", "nat", "-D", "OUTPUT", "-p", "tcp", "-j", "IMDSGATE"}},
        {{"-t", "nat", "-I", "OUTPUT", "-p", "tcp", "-j", "IMDSGATE"}},
        {{"-t", "nat", "-F", "IMDSGATE"}},
        {{"-t", "nat", "-D", "IMDSGATE", "1"}},
        {{"-t", "nat", "-I", "IMDSGATE", "-d", "169.254.169.254", "-j", "RETURN"}},
        {{"-t", "nat", "-A", "THEIRS", "-j", "IMDSGATE"}},
        {{"-t", "filter", "-D", "OUTPUT", "-p", "tcp", "-j", "IMDSGATE-FENCE"},
         {"-t", "filter", "-F", "IMDSGATE-FENCE"},
         {"-t", "filter", "-X", "IMDSGATE-FENCE"}},
        {{"-t", "nat", "-N", "IMDSGATE-OLD"}, {"-t", "nat", "-A", "IMDSGATE", "-j", "IMDSGATE-OLD"}},
        {{"-t", "nat", "-F"}, {"-t", "filter", "-F"}},
    };
    for (auto const &damage : damages) {
      for (auto arguments : damage) {
        arguments.insert(arguments.begin(), command());
        run(arguments);
      }
      auto const status = firewall_status(spec);
      ASSERT_TRUE(status) << status.error().detail;
      EXPECT_FALSE(status->families[0].as_specified) << ::testing::PrintToString(damage);
      EXPECT_TRUE(status->families[1].as_specified);
      EXPECT_THAT(status->families[0].differences, ::testing::Not(IsEmpty()));
      apply(spec);
      EXPECT_EQ(tables(GetParam(), false), whole) << ::testing::PrintToString(damage);
    }
  });
}

TEST_P(EachBackend, GoesFirstAgainWhenSomeoneWentBefore) {
  IN_NETWORK_NAMESPACE([&] {
    auto const spec = spec_for(GetParam());
    apply(spec);
    run({command(), "-t", "nat", "-I", "OUTPUT", "-d", "10.0.0.1", "-j", "ACCEPT"});
    auto const status = firewall_status(spec);
    ASSERT_TRUE(status);
    EXPECT_THAT(status->families[0].differences,
                ::testing::ElementsAre(HasSubstr("is rule 2, not the first")));
    apply(spec);
    expect_as_specified(spec);
    EXPECT_THAT(tables(GetParam(), false),
                HasSubstr("-A OUTPUT -p tcp -j IMDSGATE\n-A OUTPUT -d 10.0.0.1/32 -j ACCEPT\n"));
  });
}

TEST_P(EachBackend, GoesBetweenAuditAndEnforce) {
  IN_NETWORK_NAMESPACE([&] {
    auto const audit = spec_for(GetParam()), enforce = spec_for(GetParam(), true);
    apply(audit);
    auto const audited = snapshot();
    expect_as_specified(audit);
    apply(enforce);
    expect_as_specified(enforce);
    apply(audit);
    expect_as_specified(audit);
    if (GetParam() == FirewallBackend::nft) {
      EXPECT_EQ(snapshot(), audited);
    }
    auto kept = enforce;
    kept.redirect = false;
    apply(kept);
    expect_as_specified(kept);
    take_out();
    EXPECT_THAT(snapshot(), ::testing::Not(HasSubstr("IMDSGATE")));
  });
}

TEST_P(EachBackend, SwitchedBackendsLeaveNothingBehind) {
  IN_NETWORK_NAMESPACE([&] {
    auto const other = GetParam() == FirewallBackend::nft ? FirewallBackend::legacy : FirewallBackend::nft;
    apply(spec_for(GetParam(), true));
    auto const status = firewall_status(spec_for(other, true));
    ASSERT_TRUE(status);
    EXPECT_FALSE(status->families[0].as_specified);
    apply(spec_for(other, true));
    expect_as_specified(spec_for(other, true));
    EXPECT_THAT(tables(GetParam(), false) + tables(GetParam(), true), ::testing::Not(HasSubstr("IMDSGATE")));
    take_out();
    EXPECT_THAT(snapshot(), ::testing::Not(HasSubstr("IMDSGATE")));
  });
}

TEST_P(EachBackend, PutsTheFirstFamilyBackWhenTheSecondFails) {
  IN_NETWORK_NAMESPACE([&] {
    auto const before_spec = spec_for(GetParam());
    if (GetParam() == FirewallBackend::legacy) load_legacy_tables();
    apply(before_spec);
    run({command(), "-t", "nat", "-I", "OUTPUT", "-d", "10.0.0.1", "-j", "ACCEPT"});
    auto const before = snapshot();
    // In this mount namespace only, iptables is a script that refuses to be ip6tables-restore.
    auto const multi = std::filesystem::canonical(*find_program(command() + "-restore"));
    std::filesystem::copy_file(multi, "/run/iptables");
    std::ofstream("/run/refuses") << "#!/bin/bash\n[[ $0 == */ip6tables-*restore ]] && exit 9\n"
                                     "exec -a \"$0\" /run/iptables \"$@\"\n";
    std::filesystem::permissions("/run/refuses", std::filesystem::perms::owner_all);
    ASSERT_EQ(::mount("/run/refuses", multi.c_str(), nullptr, MS_BIND, nullptr), 0) << std::strerror(errno);
    auto const applied = apply_firewall(spec_for(GetParam(), true));
    ASSERT_EQ(::umount(multi.c_str()), 0);
    ASSERT_FALSE(applied);
    EXPECT_THAT(applied.error().detail, HasSubstr(command(true) + "-restore failed"));
    EXPECT_EQ(snapshot(), before);
  });
}

TEST(Firewall, KeepsAnEmptyTableThatWasThere) {
  IN_NETWORK_NAMESPACE([&] {
    sh("nft add table ip nat");
    sh("nft add table ip6 filter");
    sh("nft add chain ip6 filter INPUT { type filter hook input priority 0 ; }");
    auto const before = snapshot();
    apply(spec_for(FirewallBackend::nft, true));
    take_out();
    EXPECT_EQ(snapshot(), before);
  });
}

TEST(Firewall, KeepsATableThatOthersBeganToUse) {
  IN_NETWORK_NAMESPACE([&] {
    apply(spec_for(FirewallBackend::nft, true));
    sh("iptables-nft -t nat -A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE");
    sh("iptables-nft -t filter -P OUTPUT DROP");
    sh("nft add set ip6 nat theirs { type ipv6_addr ; }");
    take_out();
    auto const after = snapshot();
    EXPECT_THAT(after, HasSubstr("-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE"));
    EXPECT_THAT(after, HasSubstr(":OUTPUT DROP"));
    EXPECT_THAT(after, HasSubstr("set theirs"));
    EXPECT_THAT(after, ::testing::Not(HasSubstr("IMDSGATE")));
  });
}

TEST(Firewall, DoesNotLoadLegacyTables) {
  IN_NETWORK_NAMESPACE([&] {
    apply(spec_for(FirewallBackend::nft, true));
    ASSERT_TRUE(firewall_status(spec_for(FirewallBackend::nft, true)));
    ASSERT_TRUE(scan_foreign_rules(spec_for(FirewallBackend::nft, true)));
    take_out();
    EXPECT_EQ(run({"cat", "/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"}),
              "");
  });
}

TEST(Firewall, DeletesNothingWhenTheRulesetMoved) {
  IN_NETWORK_NAMESPACE([&] {
    sh("nft add table ip nat");
    auto const seen = read_nft_table("nat", false);
    ASSERT_TRUE(seen) << seen.error().detail;
    sh("nft add set ip nat theirs { type ipv4_addr ; }");
    auto const deleted = delete_nft_table("nat", false, seen->generation);
    ASSERT_FALSE(deleted);
    EXPECT_EQ(deleted.error().code, Errc::refused);
    EXPECT_THAT(sh("nft list ruleset"), HasSubstr("set theirs"));
    auto const again = read_nft_table("nat", false);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->others, 1U);
    auto const gone = delete_nft_table("nat", false, again->generation);
    EXPECT_TRUE(gone) << gone.error().detail;
    EXPECT_EQ(sh("nft list ruleset"), "");
  });
}

TEST(Firewall, LeavesIpv6OutWhereThereAreNoEndpointsForIt) {
  IN_NETWORK_NAMESPACE([&] {
    auto spec = spec_for(FirewallBackend::nft);
    spec.endpoints.pop_back();
    apply(spec);
    EXPECT_EQ(tables(FirewallBackend::nft, true), "");
    auto const status = firewall_status(spec);
    ASSERT_TRUE(status);
    for (auto const &family : status->families) EXPECT_TRUE(family.as_specified);
  });
}

}  // namespace
}  // namespace imdsgate
