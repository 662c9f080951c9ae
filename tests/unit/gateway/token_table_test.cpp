#include "gateway/token_table.hpp"

#include <gtest/gtest.h>

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

// Whoever floods pushes out his own.
TEST(TokenTable, IsBoundedForEachUnit) {
  TokenTable table;
  table.learn("db", kDb, seconds(60), kNow);
  for (std::size_t i = 0; i <= TokenTable::kMostOfOneUnit; ++i) {
    table.learn("w" + std::to_string(i), kWeb, seconds(100 + static_cast<long>(i)), kNow);
  }
  EXPECT_EQ(table.size(), TokenTable::kMostOfOneUnit + 1);
  EXPECT_EQ(table.refused(), 1u);
  EXPECT_EQ(table.find("w0", kNow), nullptr);
  EXPECT_EQ(table.find("w1", kNow), kWeb);
  EXPECT_EQ(table.find("db", kNow), kDb);
}

TEST(TokenTable, IsBoundedInAll) {
  TokenTable table;
  for (std::size_t i = 0; i < TokenTable::kMost; ++i) {
    table.learn("t" + std::to_string(i), of("/system.slice/u" + std::to_string(i % 16) + ".service"),
                seconds(60), kNow);
  }
  EXPECT_EQ(table.refused(), 0u);
  table.learn("late", kDb, seconds(60), kNow);
  EXPECT_EQ(table.find("late", kNow), nullptr);
  EXPECT_EQ(table.refused(), 1u);
  EXPECT_EQ(table.size(), TokenTable::kMost);
  table.learn("late", kDb, seconds(60), kNow + seconds(60));
  EXPECT_EQ(table.size(), 1u);
}

}  // namespace
}  // namespace imdsgate
