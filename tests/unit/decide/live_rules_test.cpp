#include "decide/live_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/decide/people.hpp"

namespace imdsgate {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kEndpoint[] = "169.254.169.254:80";

LiveRules::Moment moment(std::chrono::milliseconds at) {
  return {LiveRules::Clock::time_point(at), std::chrono::system_clock::time_point(1'800'000'000s + at)};
}

Lineage child(Process process, std::string entity_id) {
  Lineage lineage;
  lineage.process = std::move(process);
  lineage.process.entity_id = std::move(entity_id);
  lineage.parent = imdsgate::process("/usr/bin/bash", "bash", 1000);
  lineage.parent->entity_id = "e-shell";
  lineage.process.parent_pid = lineage.parent->id.tgid;
  return lineage;
}
LineagePtr shared(Lineage lineage) {
  return std::make_shared<Lineage const>(std::move(lineage));
}
LineagePtr curl() {
  return shared(child(process("/usr/bin/curl", "curl", 1000), "e-curl"));
}
LineagePtr reader() {  // what no criterion names
  return shared(child(process("/usr/bin/cat", "cat", 1000), "e-cat"));
}

std::shared_ptr<Rule const> rule(std::string const &text, void (*change)(Rule &) = nullptr) {
  auto loaded = load_rule("id: r\nname: r\naction: block\nquery: |\n  " + text + "\n", "r.yaml");
  for (auto const &problem : loaded.problems) ADD_FAILURE() << problem.to_string();
  auto result = std::make_shared<Rule>(*loaded.rule);
  if (change != nullptr) change(*result);
  return result;
}

constexpr char kByParent[] =
    "sequence by host.id, process.parent.entity_id with maxspan=1s "
    "[process where process.name == \"curl\"] [network where destination.ip == \"169.254.169.254\"]";

class LiveRulesTest : public testing::Test {
 protected:
  explicit LiveRulesTest() { use(rule(kByParent)); }
  void use(std::shared_ptr<Rule const> const &rule) { live_.use(std::vector{rule}, {}); }
  std::vector<SequenceMatchPtr> connect(std::chrono::milliseconds at, LineagePtr const &who) {
    Attribution attribution;
    attribution.holders = {who};
    return live_.connected(moment(at), attribution, kEndpoint);
  }
  LiveRules live_{{"host-1", "imds-1"}};
};

TEST_F(LiveRulesTest, TheRequestersOwnExecIsPresentedHoweverLongAgoItWas) {
  live_.exec({moment(0ms), curl()});
  auto const matches = connect(20s, curl());
  ASSERT_THAT(matches, SizeIs(1));
  EXPECT_TRUE(matches[0]->self);
  EXPECT_EQ(matches[0]->rule->id, "r");
  ASSERT_THAT(matches[0]->events, SizeIs(2));
  EXPECT_EQ(matches[0]->events[0].category, "process");
  EXPECT_EQ(matches[0]->events[1].category, "network");
  EXPECT_EQ(matches[0]->events[1].who->process.entity_id, "e-curl");
  EXPECT_THAT(connect(21s, curl()), SizeIs(1)) << "every connection anew";
}

TEST_F(LiveRulesTest, WhatTheLimitsRefusedIsCountedAcrossReloads) {
  auto const by_args = rule("sequence by process.args [process where true] [network where true]");
  auto many = *curl();
  for (int i = 0; i < 17; ++i) many.process.args.push_back(std::to_string(i));
  for (std::uint64_t round = 1; round <= 2; ++round) {
    use(by_args);
    live_.exec({moment(1000ms), shared(many)});
    EXPECT_EQ(live_.counters().uncombined, round);
    EXPECT_EQ(live_.counters().pending, 16u);
  }
}

TEST_F(LiveRulesTest, ASiblingsExecMatchesWithinMaxspanOnly) {
  live_.exec({moment(5000ms), curl()});
  auto const matches = connect(6000ms, reader());
  ASSERT_THAT(matches, SizeIs(1)) << "maxspan is inclusive";
  EXPECT_FALSE(matches[0]->self);
  EXPECT_EQ(matches[0]->events[0].who->process.entity_id, "e-curl");
  EXPECT_THAT(connect(6000ms, reader()), IsEmpty()) << "completing consumes";
  live_.exec({moment(7000ms), curl()});
  EXPECT_THAT(connect(8001ms, reader()), IsEmpty());
}

TEST_F(LiveRulesTest, AnotherParentsChildIsNoSibling) {
  live_.exec({moment(5000ms), curl()});
  auto stranger = *reader();
  stranger.parent->entity_id = "e-other";
  EXPECT_THAT(connect(5100ms, shared(stranger)), IsEmpty());
}

TEST_F(LiveRulesTest, AnExecAfterTheConnectionIsNotBeforeIt) {
  LiveRules::Arrival arrival(live_, moment(5000ms));
  live_.exec({moment(5001ms), curl()});
  EXPECT_THAT(connect(5000ms, reader()), IsEmpty());
}

TEST_F(LiveRulesTest, AnExecBeforeTheConnectionCountsThoughAnotherConnectionStillWaits) {
  LiveRules::Arrival earlier(live_, moment(4000ms));
  LiveRules::Arrival arrival(live_, moment(5000ms));
  live_.exec({moment(4500ms), curl()});
  EXPECT_THAT(connect(5000ms, reader()), SizeIs(1));
}

TEST_F(LiveRulesTest, WhatWaitedIsNotForgotten) {
  {
    LiveRules::Arrival arrival(live_, moment(5000ms));
    live_.exec({moment(5001ms), curl()});
  }
  EXPECT_THAT(connect(5500ms, reader()), SizeIs(1));
}

TEST_F(LiveRulesTest, AParentThatCannotBeReadIsStillTheParentOfBoth) {
  auto orphan = *curl();
  orphan.parent.reset();
  EXPECT_THAT(connect(9s, shared(orphan)), SizeIs(1));
}

TEST_F(LiveRulesTest, WithoutLiveExecOnlyWhatHappenedCounts) {
  use(rule(kByParent, [](Rule &rule) { rule.live_exec = false; }));
  EXPECT_THAT(connect(2000ms, curl()), IsEmpty());
  live_.exec({moment(3000ms), curl()});
  auto const matches = connect(3500ms, curl());
  ASSERT_THAT(matches, SizeIs(1));
  EXPECT_TRUE(matches[0]->self);
}

TEST_F(LiveRulesTest, AReloadForgetsNoExec) {
  std::vector<LiveRules::Exec> const recent = {{moment(5000ms), curl()}};
  live_.use(std::vector{rule(kByParent)}, recent);
  EXPECT_THAT(connect(5500ms, reader()), SizeIs(1));
}

TEST_F(LiveRulesTest, ARequestCanEndASequence) {
  use(
      rule("sequence by process.entity_id with maxspan=1s [network where true] "
           "[web where url.path == \"/latest/user-data\"]"));
  EXPECT_THAT(connect(5000ms, reader()), IsEmpty());
  Attribution who;
  who.holders = {reader()};
  MetadataRequest request;
  request.target = request.path = "/latest/user-data";
  EXPECT_THAT(live_.requested(moment(5001ms), who, kEndpoint, request), SizeIs(1));
  EXPECT_THAT(live_.requested(moment(5002ms), who, kEndpoint, request), IsEmpty());
}

TEST_F(LiveRulesTest, EveryHolderOfTheSocketIsAsked) {
  Attribution who;
  who.holders = {reader(), curl()};
  auto const matches = live_.connected(moment(5000ms), who, kEndpoint);
  ASSERT_THAT(matches, testing::Not(IsEmpty()));
  EXPECT_TRUE(matches[0]->self);
  EXPECT_EQ(matches[0]->holder, 1u);
}

TEST_F(LiveRulesTest, WithoutASequenceNothingIsKept) {
  use(rule("process where true"));
  EXPECT_FALSE(live_.any());
  live_.exec({moment(5000ms), curl()});
  EXPECT_THAT(connect(5000ms, curl()), IsEmpty());
}

// What decide() makes of it.
Decision decided(std::shared_ptr<Rule const> const &rule, std::span<SequenceMatchPtr const> matches,
                 MissingExecs missing = MissingExecs::none) {
  PolicyChoices choices;
  choices.rules = {rule};
  Case const asked("stranger", "GET", "/latest/meta-data/instance-id", "v2");
  AccessRequest access{asked.request, &*asked.attribution, std::nullopt, kEndpoint, {}};
  access.sequences = matches;
  access.missing_execs = missing;
  return decide(*build_policies(choices).enforce, access);
}
std::vector<SequenceMatchPtr> match_of(std::shared_ptr<Rule const> const &rule, bool self) {
  auto match = std::make_shared<SequenceMatch>();
  match->rule = rule;
  match->self = self;
  return {match};
}

TEST(SequencesInADecision, OnlyAMatchThroughTheRequesterBlocks) {
  auto const self = rule(kByParent);
  EXPECT_EQ(decided(self, match_of(self, true)).verdict, Verdict::block);
  EXPECT_EQ(decided(self, match_of(self, false)).verdict, Verdict::alert);
  EXPECT_EQ(decided(self, {}).verdict, Verdict::allow);
  auto const any = rule(kByParent, [](Rule &rule) { rule.block_on = Rule::BlockOn::any; });
  EXPECT_EQ(decided(any, match_of(any, false)).verdict, Verdict::block);
}

TEST(SequencesInADecision, WhatCannotBeKnownIsSaid) {
  auto const self = rule(kByParent);
  auto const decision = decided(self, {}, MissingExecs::lost);
  EXPECT_EQ(decision.verdict, Verdict::alert);
  ASSERT_THAT(decision.findings, SizeIs(1));
  EXPECT_EQ(decision.findings[0].reason, Reason::exec_events_lost);
  EXPECT_EQ(decided(self, match_of(self, true), MissingExecs::lost).findings.front().rule, self);
}

TEST(SequencesInADecision, ASiblingThatWasGoneTooSoonIsListed) {
  auto const self = rule(kByParent);
  auto const decision = decided(self, {}, MissingExecs::unread);
  EXPECT_EQ(decision.verdict, Verdict::allow);
  ASSERT_THAT(decision.findings, SizeIs(1));
  EXPECT_EQ(decision.findings[0].reason, Reason::exec_unread);
  auto const any = rule(kByParent, [](Rule &rule) { rule.block_on = Rule::BlockOn::any; });
  EXPECT_EQ(decided(any, {}, MissingExecs::unread).verdict, Verdict::block);
}

}  // namespace
}  // namespace imdsgate
