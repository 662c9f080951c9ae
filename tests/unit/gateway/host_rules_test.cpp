// Whether the gateway arms beside the host's own rules, and what it takes over of them.
#include "gateway/host_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decide/path_classes.hpp"
#include "gateway/root_dialler.hpp"

namespace imdsgate {
namespace {

using Kind = ForeignRule::Kind;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Endpoint const kImds{*Address::parse("169.254.169.254"), 80};
Endpoint const kWire{*Address::parse("168.63.129.16"), 80};
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

// The guest agent's rules: what they come to is taken over without being asked, with whom the gateway dials as in mind.
TEST(HostRules, ThoseAboutWireServerAreTakenOverWhateverExistingSays) {
  SocketOwner const service_user{992, kRootGroup};
  ForeignRules agents;
  agents.rules = {{"iptables security/OUTPUT", "-j DROP", {kWire}, Kind::owners}};
  agents.denials = {{{{1, IdRange::kLast}}, {{}}, {kWire}, "iptables security/OUTPUT", {"-j DROP"}}};
  auto const beside = [&](Existing existing, ForeignRules const &found) {
    auto guarding = settings(existing);
    guarding.endpoints.push_back(kWire);
    return judge_host_rules(guarding, found, service_user);
  };
  for (auto const existing : {Existing::refuse, Existing::translate, Existing::ignore}) {
    auto const taken = beside(existing, agents);
    ASSERT_TRUE(taken) << taken.error().detail;
    EXPECT_THAT(taken->notes(), ElementsAre("existing: uid all but 0, iptables security/OUTPUT, may not reach "
                                            "168.63.129.16:80; -j DROP"));
  }
  auto both = agents;
  both.rules.push_back({"iptables security/OUTPUT", "-m owner", {kImds}, Kind::owners});
  both.denials.front().endpoints.push_back(kImds);
  EXPECT_FALSE(beside(Existing::refuse, both)) << "one is about IMDS";
  EXPECT_FALSE(beside(Existing::translate, both)) << "IMDS is dialled as the service user";
  auto const ignored = beside(Existing::ignore, both);
  ASSERT_TRUE(ignored);
  EXPECT_THAT(ignored->denials.front().endpoints, ElementsAre(kWire));
  agents.denials.front().uids = {{0, 0}};
  EXPECT_FALSE(beside(Existing::refuse, agents)) << "it keeps uid 0 away, so the gateway, too";
  agents.rules.front().kind = Kind::other;
  EXPECT_FALSE(beside(Existing::translate, agents));
}

TEST(HostRules, WhatIsWireServerTheCatalogueSaysToo) {
  auto const &endpoints = PathCatalogue::shipped(Provider::wireserver)->endpoints();
  EXPECT_EQ(endpoints.size(), kWireServerPorts.size());
  for (auto const &endpoint : endpoints) EXPECT_TRUE(is_wireserver(endpoint)) << endpoint.to_string();
  EXPECT_FALSE(is_wireserver({kWire.address, 22}));
  EXPECT_FALSE(is_wireserver(kImds));
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
