#include "gateway/token_table.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace imdsgate {
namespace {

using std::chrono::seconds;

TokenMinters of(std::string cgroup) {
  Lineage lineage;
  lineage.process.cgroup = std::move(cgroup);
  return std::make_shared<std::vector<LineagePtr> const>(1,
                                                         std::make_shared<Lineage const>(std::move(lineage)));
}

TokenTable::Time const kNow{std::chrono::hours(100)};
auto const kWeb = of("/system.slice/web.service"), kDb = of("/system.slice/db.service");

TEST(TokenTable, KnowsATokenAsLongAsItIsGood) {
  TokenTable table;
  table.learn("AQAEA1", kWeb, seconds(60), kNow);
  EXPECT_EQ(table.find("AQAEA1", kNow), kWeb);
  EXPECT_EQ(table.find("AQAEA1", kNow + seconds(59)), kWeb);
  EXPECT_EQ(table.find("AQAEA1", kNow + seconds(60)), nullptr);
  EXPECT_EQ(table.find("AQAEA2", kNow), nullptr);
  EXPECT_EQ(table.find("", kNow), nullptr);
  EXPECT_EQ(table.find("AQAEA1 ", kNow), nullptr);
}

TEST(TokenTable, GivesUpWhatHasEnded) {
  TokenTable table;
  for (int i = 0; i < 10; ++i) table.learn("t" + std::to_string(i), kWeb, seconds(10 + i), kNow);
  table.learn("later", kDb, seconds(60), kNow + seconds(15));
  EXPECT_EQ(table.size(), 5u);  // t6 to t9, and this one
  table.learn("later", kWeb, seconds(60), kNow + seconds(15));
  EXPECT_EQ(table.size(), 5u) << "one token is one entry";
  EXPECT_EQ(table.find("later", kNow + seconds(15)), kWeb);
}

std::string token_of(std::string const &who, std::size_t number) {
  return who + std::to_string(number);
}

void flood(TokenTable &table, std::size_t tokens, std::function<TokenMinters(std::size_t)> const &minter) {
  for (std::size_t i = 0; i < tokens; ++i) {
    table.learn(token_of("flood", i), minter(i), seconds(100 + static_cast<long>(i)), kNow);
  }
}

// Whoever floods pushes out his own, the one that ends first, and nobody else's, however soon that ends.
TEST(TokenTable, MakesRoomWithWhoeverHoldsMost) {
  TokenTable table;
  table.learn("db", kDb, seconds(60), kNow);
  flood(table, TokenTable::kMost - 1, [](auto) { return kWeb; });
  EXPECT_EQ(table.forgotten(), 0u);
  table.learn("more", kWeb, seconds(90), kNow);
  EXPECT_EQ(table.find("flood0", kNow), nullptr);
  table.learn("late", of("/system.slice/late.service"), seconds(60), kNow);
  EXPECT_EQ(table.find("more", kNow), nullptr);
  EXPECT_TRUE(table.find("late", kNow) && table.find("db", kNow) && table.find("flood1", kNow));
  EXPECT_EQ(table.size(), TokenTable::kMost);
  EXPECT_EQ(table.forgotten(), 2u);
}

// Units of one's own making, and processes of which no unit is known, are one.
TEST(TokenTable, CountsWhatOneMayMakeManyOfAsOne) {
  auto const scopes = [](std::size_t i) {
    return of("/user.slice/user-1001.slice/user@1001.service/app.slice/run-" + std::to_string(i) + ".scope");
  };
  auto const processes = [](std::size_t) { return of(""); };
  for (auto const &flooder : {std::function<TokenMinters(std::size_t)>(scopes),
                              std::function<TokenMinters(std::size_t)>(processes)}) {
    TokenTable table;
    table.learn("db1", kDb, seconds(60), kNow);
    table.learn("db2", kDb, seconds(60), kNow);
    flood(table, TokenTable::kMost, flooder);
    EXPECT_EQ(table.forgotten(), 2u);
    EXPECT_TRUE(table.find("db1", kNow) && table.find("db2", kNow));
  }
}

TEST(TokenTable, TakesTheNewcomersOwnWhereAllHoldTheSame) {
  TokenTable table;
  flood(table, TokenTable::kMost, [](std::size_t i) {
    return of("/system.slice/u" + std::to_string(i % (TokenTable::kMost / 2)) + ".service");
  });
  table.learn("more", of("/system.slice/u7.service"), seconds(60), kNow);
  EXPECT_EQ(table.find("flood7", kNow), nullptr);
  EXPECT_EQ(table.forgotten(), 1u);
}

// As long as it may be the one that is not known.
TEST(TokenTable, SaysThatItForgotOneThatIsStillGood) {
  TokenTable table;
  flood(table, TokenTable::kMost, [](auto) { return kWeb; });
  EXPECT_FALSE(table.forgot_a_good_one(kNow));
  table.learn("more", kDb, seconds(60), kNow);
  EXPECT_TRUE(table.forgot_a_good_one(kNow + seconds(99)));
  EXPECT_FALSE(table.forgot_a_good_one(kNow + seconds(100)));
}

}  // namespace
}  // namespace imdsgate
