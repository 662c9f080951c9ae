#include "decide/denied_tokens.hpp"

#include <gtest/gtest.h>

#include "decide/unit_scope.hpp"

namespace imdsgate {
namespace {

using std::chrono::seconds;

Attribution asks(std::string entity, std::string cgroup) {
  Lineage lineage;
  lineage.process.entity_id = std::move(entity);
  lineage.process.cgroup = std::move(cgroup);
  lineage.process.effective_uid = 1001;
  Attribution who;
  who.holders.push_back(std::make_shared<Lineage const>(std::move(lineage)));
  return who;
}

DeniedTokens::Time const kNow{std::chrono::hours(100)};

TEST(DeniedTokens, HoldForTheProcessAndForAWhileForItsUnit) {
  DeniedTokens tokens;
  auto const sdk = asks("a", "/system.slice/web.service");
  auto const sibling = asks("b", "/system.slice/web.service/worker");
  auto const other = asks("c", "/system.slice/db.service");
  EXPECT_FALSE(tokens.find(sdk, kNow));
  tokens.deny(sdk, kNow);
  EXPECT_TRUE(tokens.find(sdk, kNow));
  EXPECT_TRUE(tokens.find(sibling, kNow + seconds(59)));
  EXPECT_FALSE(tokens.find(sibling, kNow + seconds(60)));
  EXPECT_FALSE(tokens.find(other, kNow));
  EXPECT_TRUE(tokens.find(sdk, kNow + DeniedTokens::kProcessFor - seconds(1)));
  EXPECT_FALSE(tokens.find(sdk, kNow + DeniedTokens::kProcessFor));
}

TEST(DeniedTokens, HoldForNoOtherProcessWhereTheCgroupIsNotKnown) {
  DeniedTokens tokens;
  tokens.deny(asks("a", ""), kNow);
  EXPECT_TRUE(tokens.find(asks("a", ""), kNow));
  EXPECT_FALSE(tokens.find(asks("b", ""), kNow));
}

TEST(DeniedTokens, NameTheHolderThatWasDenied) {
  DeniedTokens tokens;
  auto both = asks("a", "/system.slice/a.service");
  both.holders.push_back(asks("b", "/system.slice/b.service").holders.front());
  tokens.deny(asks("b", "/system.slice/b.service"), kNow);
  EXPECT_EQ(tokens.find(both, kNow), 1u);
}

TEST(DeniedTokens, AreForgottenWithTheFirstToken) {
  DeniedTokens tokens;
  auto const sdk = asks("a", "/system.slice/web.service");
  tokens.deny(sdk, kNow);
  tokens.forget(sdk);
  EXPECT_FALSE(tokens.find(sdk, kNow));
  EXPECT_TRUE(tokens.empty());
}

TEST(DeniedTokens, AreBoundedAndTheOldestGoes) {
  DeniedTokens tokens;
  for (std::size_t i = 0; i <= DeniedTokens::kMost; ++i) {
    tokens.deny(asks(std::to_string(i), "/system.slice/web.service"), kNow + seconds(i / 100));
  }
  EXPECT_EQ(tokens.evicted(), 1u);
  auto const elsewhere = "/system.slice/other.service";
  EXPECT_FALSE(tokens.find(asks("0", elsewhere), kNow));
  EXPECT_TRUE(tokens.find(asks("1", elsewhere), kNow));
  // What has ended makes room first.
  tokens.deny(asks("late", elsewhere), kNow + DeniedTokens::kProcessFor + seconds(10));
  EXPECT_EQ(tokens.evicted(), 1u);
  EXPECT_TRUE(tokens.find(asks("4000", "/"), kNow + DeniedTokens::kProcessFor + seconds(10)));
}

TEST(SessionScope, IsTheOutermost) {
  Process process;
  process.cgroup = "/user.slice/user-1001.slice/user@1001.service/app.slice/vte.scope";
  EXPECT_EQ(session_scope(process), "/user.slice/user-1001.slice/user@1001.service");
  process.cgroup = "/system.slice/web.service/worker.scope";
  EXPECT_EQ(session_scope(process), "/system.slice/web.service");
  process.cgroup = "/lab/client";
  EXPECT_EQ(session_scope(process), "/lab/client");
}

TEST(UnitScope, IsTheInnermostUnitOrContainer) {
  auto const scope = [](std::string cgroup, std::optional<std::string> container = std::nullopt) {
    Process process;
    process.cgroup = std::move(cgroup);
    process.container_id = std::move(container);
    process.effective_uid = 1001;
    process.entity_id = "e-1";
    return unit_scope(process);
  };
  EXPECT_EQ(scope("/system.slice/web.service"), "/system.slice/web.service");
  EXPECT_EQ(scope("/system.slice/web.service/worker/1"), "/system.slice/web.service");
  EXPECT_EQ(scope("/user.slice/user-1001.slice/session-3.scope"),
            "/user.slice/user-1001.slice/session-3.scope");
  EXPECT_EQ(scope("/user.slice/user-1001.slice/user@1001.service/app.slice/vte.scope"),
            "/user.slice/user-1001.slice/user@1001.service/app.slice/vte.scope");
  EXPECT_EQ(scope("/kubepods/pod7/c0ffee/init", "c0ffee"), "/kubepods/pod7/c0ffee");
  EXPECT_EQ(scope("/system.slice/docker-c0ffee.scope/x", "c0ffee"), "/system.slice/docker-c0ffee.scope");
  EXPECT_EQ(scope("/lab/client"), "/lab/client");
  EXPECT_EQ(scope("/"), "user:1001");
  EXPECT_EQ(scope(""), "process:e-1") << "that nobody knows its cgroup makes no two processes one unit";
}

}  // namespace
}  // namespace imdsgate
