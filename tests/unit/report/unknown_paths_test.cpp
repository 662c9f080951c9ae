#include "report/unknown_paths.hpp"

#include <gtest/gtest.h>

#include "sample_event.hpp"

namespace imdsgate {
namespace {

RequestEvent asks(std::string path) {
  auto event = testing::sample_event();
  event.request->path_known = false;
  event.request->path = std::move(path);
  return event;
}

TEST(UnknownPaths, TellsHowOftenAndWhoLast) {
  UnknownPaths paths;
  paths.count(asks("/latest/meta-data/new"));
  for (int i = 0; i < 2; ++i) paths.count(asks("/latest/meta-data/newer"));
  auto const list = paths.most_asked_first();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].path, "/latest/meta-data/newer");
  EXPECT_EQ(list[0].count, 2U);
  EXPECT_EQ(list[0].provider, Provider::ec2);
  EXPECT_EQ(list[0].method, "GET");
  EXPECT_EQ(list[0].last_by, "curl (pid 4711, uid 33)");
  EXPECT_EQ(list[0].last, asks("/").time);
  EXPECT_EQ(list[1].count, 1U);
}

TEST(UnknownPaths, NamesNobodyForAnUnattributedRequest) {
  UnknownPaths paths;
  auto event = asks("/x");
  event.unattributed = Reason::no_holder;
  paths.count(event);
  EXPECT_EQ(paths.most_asked_first().at(0).last_by, "");
}

TEST(UnknownPaths, IsOfUnknownPathsOnly) {
  UnknownPaths paths;
  paths.count(testing::sample_event());
  auto partial = asks("/x");
  partial.partial = true;  // the same request's event is still to come
  paths.count(partial);
  auto none = asks("/x");
  none.request.reset();
  paths.count(none);
  EXPECT_TRUE(paths.most_asked_first().empty());
}

TEST(UnknownPaths, HoldsNoSecretAndNoMoreThanItMay) {
  UnknownPaths paths;
  paths.count(asks("/v2/credentials/2a7b9f5c-3f0c-4d1e-9d5a-8a0d6f6b1c2d"));
  EXPECT_EQ(paths.most_asked_first().at(0).path.find("2a7b9f5c"), std::string::npos);
  auto event = asks('/' + std::string(9000, 'a'));
  event.request->method.assign(9000, 'M');
  for (int i = 0; i < 2; ++i) paths.count(event);
  auto const longest = paths.most_asked_first().at(0);
  EXPECT_EQ(longest.path.size(), UnknownPaths::kPathBytes);
  EXPECT_EQ(longest.method.size(), UnknownPaths::kMethodBytes);
}

TEST(UnknownPaths, KeepsThoseAskedForMostWhenThereAreTooMany) {
  UnknownPaths paths;
  for (int i = 0; i < 2; ++i) paths.count(asks("/often"));
  for (std::size_t i = 0; i < UnknownPaths::kPaths + 9; ++i) {
    auto event = asks("/" + std::to_string(i));
    event.time += std::chrono::seconds(i);
    paths.count(event);
  }
  auto const list = paths.most_asked_first();
  ASSERT_EQ(list.size(), UnknownPaths::kPaths);
  EXPECT_EQ(list[0].path, "/often");
  EXPECT_EQ(paths.forgotten(), 10U);
  EXPECT_EQ(std::ranges::count(list, "/" + std::to_string(UnknownPaths::kPaths + 8), &UnknownPath::path), 1);
  EXPECT_EQ(std::ranges::count(list, "/0", &UnknownPath::path), 0);
}

}  // namespace
}  // namespace imdsgate
