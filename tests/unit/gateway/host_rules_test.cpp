// Whether the gateway arms beside the host's own rules, and what it takes over of them.
#include "gateway/host_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using Kind = ForeignRule::Kind;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Endpoint const kImds{*Address::parse("169.254.169.254"), 80};
Endpoint const kAgent{*Address::parse("169.254.170.2"), 80};
std::uint32_t const kRootGroup[] = {0};
SocketOwner const kRoot{0, kRootGroup};

Settings settings(Existing existing, bool by_default = true) {
  Settings settings;
  settings.existing = existing;
  settings.endpoints = {kImds, kAgent};
  settings.endpoints_by_default = by_default;
  return settings;
}

ForeignRules keeps_away(IdRange uids, IdRange gids = {}) {
  ForeignRules found;
  found.rules = {{"iptables filter/OUTPUT", "-j DROP", {kImds}, Kind::owners}};
  found.denials = {{{uids}, {gids}, {kImds}, "iptables filter/OUTPUT", {"-j DROP"}}};
  return found;
}

TEST(HostRules, AreTakenOverOrNamed) {
  auto const found = keeps_away({48, 48});
  auto const taken = judge_host_rules(settings(Existing::translate), found, kRoot);
  ASSERT_TRUE(taken);
  ASSERT_EQ(taken->denials.size(), 1u);
  EXPECT_THAT(
      taken->notes(),
      ElementsAre("existing: uid 48, iptables filter/OUTPUT, may not reach 169.254.169.254:80; -j DROP"));
  auto const refused = judge_host_rules(settings(Existing::refuse), found, kRoot);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail,
              AllOf(HasSubstr("iptables filter/OUTPUT: -j DROP"), HasSubstr("existing: translate")));
  auto const none = judge_host_rules(settings(Existing::translate), {}, kRoot);
  ASSERT_TRUE(none);
  EXPECT_THAT(none->notes(), IsEmpty());
}

TEST(HostRules, OneThatDoesMoreIsInTheWayWhateverElseIsTakenOver) {
  auto found = keeps_away({48, 48});
  found.rules.push_back({"iptables nat/OUTPUT", "-j DNAT", {kImds}, Kind::other});
  auto const refused = judge_host_rules(settings(Existing::translate), found, kRoot);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail,
              AllOf(HasSubstr("iptables nat/OUTPUT: -j DNAT"), Not(HasSubstr("-j DROP"))));
}

// Its own connections to the service would meet the rule.
TEST(HostRules, OneThatKeepsTheGatewayAwayIsInTheWay) {
  EXPECT_FALSE(judge_host_rules(settings(Existing::translate), keeps_away({0, 48}), kRoot));
  EXPECT_FALSE(judge_host_rules(settings(Existing::translate), keeps_away({}, {0, 0}), kRoot));
  EXPECT_TRUE(judge_host_rules(settings(Existing::translate), keeps_away({}, {1, 1}), kRoot));
  EXPECT_FALSE(judge_host_rules(settings(Existing::translate), keeps_away({}, {1, 1}), {0, {}}))
      << "its group is not known";
}

TEST(HostRules, TheEcsAgentsEndpointIsLeftToItWhenNobodyAskedForIt) {
  ForeignRules found;
  found.rules = {{"iptables nat/OUTPUT", "-j REDIRECT", {kAgent}, Kind::ecs_agent}};
  for (auto const existing : {Existing::refuse, Existing::translate}) {
    auto const left = judge_host_rules(settings(existing), found, kRoot);
    ASSERT_TRUE(left);
    EXPECT_THAT(left->left_out, ElementsAre(kAgent));
    EXPECT_THAT(left->notes(), ElementsAre(HasSubstr("169.254.170.2:80 is not guarded")));
    auto endpoints = settings(existing).endpoints;
    leave_out(left->left_out, endpoints);
    EXPECT_THAT(endpoints, ElementsAre(kImds));
    EXPECT_FALSE(judge_host_rules(settings(existing, false), found, kRoot)) << "it was asked for";
  }
  found.rules.push_back({"iptables filter/OUTPUT", "-j DROP", {kAgent}, Kind::other});
  EXPECT_FALSE(judge_host_rules(settings(Existing::translate), found, kRoot)) << "another rule is on it";
}

}  // namespace
}  // namespace imdsgate
