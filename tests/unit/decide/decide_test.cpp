#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "unit/decide/people.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

TEST(Decide, AsTheTableSays) {
  auto const rows = table("decisions.txt");
  for (auto const &row : rows) {
    auto const &given = row.given;
    Case const asked(given.at(0), given.at(1), given.at(2), given.at(3));
    auto const policies = build_policies(choices_of({given.begin() + 4, given.end()}));
    EXPECT_EQ(told(asked.decided(*policies.audit), Mode::audit) + ' ' +
                  told(asked.decided(*policies.enforce), Mode::enforce),
              row.result)
        << row.text;
  }
}

Decision in_enforce(Case const &asked, std::vector<std::string> const &policy) {
  return asked.decided(*build_policies(choices_of(policy)).enforce);
}

TEST(Decide, NamesTheHolderOfTheStrictestFinding) {
  auto const *role = "/latest/meta-data/iam/security-credentials/role";
  EXPECT_EQ(in_enforce({"agent+curl", "GET", role, "v2"}, {"allow:agent"}).requester, 1u);
  EXPECT_EQ(in_enforce({"agent+stranger", "GET", role, "v2"}, {"allow:agent"}).requester, 1u);
  EXPECT_EQ(in_enforce({"stranger+agent", "GET", role, "v2"}, {"allow:agent"}).requester, 0u);
  EXPECT_EQ(in_enforce({"stranger+agent+curl", "GET", role, "v1"}, {"alertrule"}).requester, 2u);
  EXPECT_EQ(in_enforce({"stranger+curl", "GET", role, "v2"}, {"deny:curl"}).requester, 1u);
}

TEST(Decide, AnswersAnAmbiguousTargetWith400AndTheRestWith403) {
  EXPECT_EQ(in_enforce({"agent", "GET", "/latest/%75ser-data", "v2"}, {"-"}).block_status, 400);
  EXPECT_EQ(in_enforce({"curl", "GET", "/latest/user-data", "v2"}, {"-"}).block_status, 403);
  EXPECT_EQ(in_enforce({"agent", "GET", "/latest/user-data", "v2"}, {"deny:userdata"}).block_status, 403);
}

// Who asks too often is told so; what is forbidden anyway is not answered with "later", and no grant lifts a
// limit.
TEST(Decide, HoldsToARateBehindAllElse) {
  auto const *role = "/latest/meta-data/iam/security-credentials/role";
  Case granted("agent", "GET", role, "v2"), forbidden("stranger", "GET", role, "v2");
  granted.over_rate = forbidden.over_rate = true;
  auto const decision = in_enforce(granted, {"allow:agent"});
  EXPECT_EQ(told(decision, Mode::enforce), "block/block [limit_requests_per_second agent]");
  EXPECT_EQ(told(decision, Mode::audit), "block/forward [limit_requests_per_second agent]");
  EXPECT_EQ(decision.block_status, 429);
  auto const other = in_enforce(forbidden, {"allow:agent"});
  EXPECT_EQ(told(other, Mode::enforce), "block/block [class_default limit_requests_per_second]");
  EXPECT_EQ(other.block_status, 403);
  granted.over_rate = false;
  granted.over_share = true;
  EXPECT_EQ(told(in_enforce(granted, {"allow:agent"}), Mode::enforce), "alert/forward [quota_share agent]");
}

// Each finding carries a rule or a reason; a grant neither. The rule is there for its alert.
TEST(Decide, GivesEachFindingItsRuleOrItsReason) {
  auto const decision = in_enforce({"curl", "GET", "/latest/%75ser-data", "v1"}, {"deny:curl"});
  ASSERT_EQ(decision.findings.size(), 4u);
  for (auto const &finding : decision.findings)
    EXPECT_NE(finding.rule != nullptr, finding.reason.has_value());
  auto const granted = in_enforce({"agent", "PUT", "/latest/api/token", "v2"}, {"allow:agent"});
  ASSERT_EQ(granted.findings.size(), 1u);
  EXPECT_FALSE(granted.findings.front().rule || granted.findings.front().reason);
  EXPECT_EQ(granted.grant, "agent");
}

TEST(Decide, TakesAnAttributionWithoutHoldersForNobody) {
  Case asked("agent", "GET", "/latest/meta-data/iam/security-credentials/role", "v2");
  asked.attribution->holders.clear();
  EXPECT_EQ(told(in_enforce(asked, {"allow:everyone"}), Mode::enforce),
            "block/block [unattributed class_default]");
}

TEST(Decide, BlocksWhatIsNotGuarded) {
  Case asked("agent", "GET", "/latest", "v2");
  asked.request.endpoint.port = 8080;
  EXPECT_EQ(told(in_enforce(asked, {"norules"}), Mode::enforce), "block/block [not_guarded]");
}

TEST(Decide, EndsAGrantAtItsTime) {
  Case const asked("agent", "PUT", "/latest/api/token", "v2");
  auto choices = choices_of({"allow:agent"});
  for (auto const &[at, granted] :
       {std::pair{1'799'999'999, false}, {1'800'000'000, false}, {1'800'000'001, true}}) {
    choices.allow[0].expires = std::chrono::system_clock::time_point(std::chrono::seconds(at));
    EXPECT_EQ(asked.decided(*build_policies(choices).enforce).grant.has_value(), granted) << at;
  }
}

// A denial takes paths in any case, whoever's service it is; a grant stays as it is written.
TEST(Decide, DeniesPathsInAnyCase) {
  PolicyChoices choices;
  choices.provider = Provider::ec2;
  choices.deny = {entry("no-identity", "", {"GET"}, {"/metadata/identity/**"})};
  choices.allow = {entry("attested", "", {}, {"/metadata/attested/document"})};
  for (bool const known : {false, true}) {
    choices.provider_known = known;
    if (known) choices.provider = Provider::azure;
    auto const policies = build_policies(choices);
    Case asked("stranger", "GET", "/x", "-");
    asked.request = canonicalize(*policies.enforce, get("/METADATA/Identity/info")).value();
    EXPECT_EQ(asked.decided(*policies.enforce).findings.front().name, "no-identity") << known;
    asked.request = canonicalize(*policies.enforce, get("/Metadata/attested/document")).value();
    EXPECT_EQ(asked.decided(*policies.enforce).findings.front().name, "class_default") << known;
  }
}

// The index is asked with every reading, too.
TEST(Decide, DeniesEveryReadingOfAnAmbiguousPath) {
  for (auto const *target : {"/latest/%75ser-data", "/x/..%2flatest/user-data"}) {
    auto const decision = in_enforce({"agent", "GET", target, "v2"}, {"norules", "deny:userdata"});
    EXPECT_EQ(told(decision, Mode::enforce), "block/block [ambiguous_target deny-userdata]") << target;
    EXPECT_EQ(decision.block_status, 400);
  }
}

TEST(Enforce, IsTheOnlyDifferenceBetweenTheModes) {
  for (auto const verdict : {Verdict::allow, Verdict::alert, Verdict::block}) {
    Decision decision;
    decision.verdict = verdict;
    EXPECT_EQ(enforce(decision, Mode::audit), Action::forward);
    EXPECT_EQ(enforce(decision, Mode::enforce), verdict == Verdict::block ? Action::block : Action::forward);
  }
}

// Policies and requests of every kind: a further denial never lets more through, a further grant never less.
class Properties : public testing::Test {
 protected:
  template <class T>
  T pick(std::vector<T> const &from) {
    return from[std::uniform_int_distribution<std::size_t>(0, from.size() - 1)(random_)];
  }
  std::vector<std::string> some_policy() {
    std::vector<std::string> all = {"-"};
    for (auto left = std::uniform_int_distribution<>(0, 4)(random_); left > 0; --left)
      all.push_back(pick(kWords));
    return all;
  }
  Case some_case() { return {pick(kWho), pick(kMethods), pick(kTargets), pick(kVersions)}; }

  std::vector<std::string> const kWords = {
      "norules",           "alertrule",          "allow:agent",   "allow:curl", "allow:everyone",
      "allow:not-curl",    "allow:agent-v1",     "deny:userdata", "deny:curl",  "deny:not-agent",
      "credentials=alert", "unattributed=allow", "imdsv1=block"};
  std::vector<std::string> const kWho = {"agent",      "impostor",       "traced-agent", "stranger",
                                         "curl",       "unreadable",     "nobody",       "doubted",
                                         "agent+curl", "stranger+agent", "contained"};
  std::vector<std::string> const kMethods = {"GET", "PUT", "HEAD", "get"};
  std::vector<std::string> const kTargets = {"/latest/api/token",
                                             "/latest/user-data",
                                             "/latest/meta-data/iam/security-credentials/role",
                                             "/latest/meta-data/iam/security-credentials/",
                                             "/latest/%75ser-data",
                                             "/latest/dynamic/instance-identity/pkcs7",
                                             "/LATEST/meta-data/iam/security-credentials/role",
                                             "//latest//user-data"};
  std::vector<std::string> const kVersions = {"v1", "v2"};

 private:
  std::mt19937 random_{20260202};
};

TEST_F(Properties, AFurtherDenialNeverAllowsMore) {
  for (int round = 0; round < 20000; ++round) {
    auto const asked = some_case();
    auto choices = choices_of(some_policy());
    auto const before = build_policies(choices);
    choices.deny.insert(choices.deny.begin(), pick(known_denials()));
    auto const after = build_policies(choices);
    for (auto const mode : {Mode::audit, Mode::enforce}) {
      EXPECT_GE(asked.decided(*after.of(mode)).verdict, asked.decided(*before.of(mode)).verdict)
          << asked.request.target << ' ' << choices.deny.front().name;
    }
  }
}

TEST_F(Properties, AFurtherGrantNeverBlocksMore) {
  for (int round = 0; round < 20000; ++round) {
    auto const asked = some_case();
    auto choices = choices_of(some_policy());
    auto const before = build_policies(choices);
    choices.allow.insert(choices.allow.begin(), pick(known_grants()));
    auto const after = build_policies(choices);
    for (auto const mode : {Mode::audit, Mode::enforce}) {
      EXPECT_LE(asked.decided(*after.of(mode)).verdict, asked.decided(*before.of(mode)).verdict)
          << asked.request.target << ' ' << choices.allow.front().name;
    }
  }
}

TEST_F(Properties, EnforceIsNeverLooserThanAudit) {
  for (int round = 0; round < 20000; ++round) {
    auto const asked = some_case();
    auto const policies = build_policies(choices_of(some_policy()));
    EXPECT_GE(asked.decided(*policies.enforce).verdict, asked.decided(*policies.audit).verdict);
  }
}

TEST_F(Properties, FindingsStandStrictestFirst) {
  for (int round = 0; round < 20000; ++round) {
    auto const decision = some_case().decided(*build_policies(choices_of(some_policy())).enforce);
    EXPECT_TRUE(std::ranges::is_sorted(decision.findings, std::ranges::greater{}, &Finding::verdict));
    if (!decision.findings.empty()) {
      EXPECT_EQ(decision.verdict, decision.findings.front().verdict);
    }
  }
}

}  // namespace
}  // namespace imdsgate
