#include "decide/entry_cover.hpp"

#include <gtest/gtest.h>

#include "unit/decide/people.hpp"

namespace imdsgate {
namespace {

TEST(PatternCovers, WhatEveryPathOfTheOtherMatches) {
  struct Pair {
    char const *wide, *narrow;
    bool covers;
  };
  for (auto const &[wide, narrow, expected] : {Pair{"/a", "/a", true},
                                               Pair{"/a", "/b", false},
                                               Pair{"/a", "/A", false},
                                               Pair{"/a/*", "/a/b", true},
                                               Pair{"/a/*", "/a/b*", true},
                                               Pair{"/a/b*", "/a/*", false},
                                               Pair{"/a/*", "/a", false},
                                               Pair{"/a/*", "/a/**", false},
                                               Pair{"/a/**", "/a", true},
                                               Pair{"/a/**", "/a/*", true},
                                               Pair{"/a/**", "/a/**", true},
                                               Pair{"/a/**", "/a/b/**", true},
                                               Pair{"/a/b/**", "/a/**", false},
                                               Pair{"/**", "/a/**/b/**", true},
                                               Pair{"/a/**/b/**", "/a/**/b/**", true},
                                               Pair{"/a/**/*", "/a/**", false},
                                               Pair{"/a/**/c", "/a/**/b/c", true},
                                               Pair{"/a/*/**", "/a/**", false},
                                               Pair{"/**/c", "/a/**/c", true},
                                               Pair{"/*/c", "/**/c", false},
                                               Pair{"/a/**", "/**", false},
                                               Pair{"/a*c", "/ab*c", true},
                                               Pair{"/a*c", "/a*", false},
                                               Pair{"/", "/", true},
                                               Pair{"/**", "/", true}}) {
    EXPECT_EQ(pattern_covers(wide, narrow), expected) << wide << ' ' << narrow;
  }
}

constexpr char const *kAgent = R"(process.executable == "/usr/bin/agent" and user.id == "0")";

struct Named {
  char const *what;
  PolicyEntry wide, narrow;
  bool covers;
};

PolicyEntry changed(PolicyEntry entry, void (*change)(PolicyEntry &)) {
  change(entry);
  return entry;
}

TEST(EntryCovers, WhatTheOtherIsAbout) {
  auto const agent = entry("agent", kAgent, {"GET"}, {"/a/b"});
  auto const until = [](PolicyEntry &e) {
    e.expires = std::chrono::system_clock::time_point(std::chrono::hours(1));
  };
  auto const v1 = [](PolicyEntry &e) { e.allow_imdsv1 = true; };
  auto const query = [](PolicyEntry &e) { e.query = {{"r", {"a*"}}}; };
  auto const narrow_query = [](PolicyEntry &e) { e.query = {{"r", {"ab", "ac"}}, {"s", {"x"}}}; };
  auto const other_query = [](PolicyEntry &e) { e.query = {{"r", {"ab", "b"}}}; };
  auto const no_query = [](PolicyEntry &e) { e.query = {{"r", {}}}; };
  auto const recursive = [](PolicyEntry &e) { e.query = {{"recursive", {"true"}}}; };
  auto const address = [](PolicyEntry &e) { e.endpoints = {{Address::from_v4({1, 2, 3, 4}), std::nullopt}}; };
  auto const endpoint = [](PolicyEntry &e) { e.endpoints = {{Address::from_v4({1, 2, 3, 4}), 80}}; };
  std::vector<Named> const cases = {
      {"itself", agent, agent, true},
      {"everyone", entry("", ""), agent, true},
      {"only some", agent, entry("", ""), false},
      {"all methods", entry("", kAgent, {}, {"/a/b"}), agent, true},
      {"another method", entry("", kAgent, {"PUT"}, {"/a/b"}), agent, false},
      {"one of two methods", agent, entry("", kAgent, {"GET", "PUT"}, {"/a/b"}), false},
      {"paths above", entry("", kAgent, {}, {"/x", "/a/**"}), agent, true},
      {"one of two paths", agent, entry("", kAgent, {"GET"}, {"/a/b", "/a/c"}), false},
      {"any user", entry("", R"(process.executable : ("/usr/bin/*", "/x"))", {}, {}), agent, true},
      {"one more demand", entry("", std::string(kAgent).append(R"( and group.id == "0")").c_str()), agent,
       false},
      {"what is no demand", entry("", std::string(kAgent).append(R"( and not group.id == "5")").c_str()),
       agent, false},
      {"another program", entry("", R"(process.executable == "/usr/bin/other")"), agent, false},
      {"one of several", entry("", R"(user.id in ("0", "1"))"), agent, true},
      {"several by one", entry("", R"(user.id == "0")"), entry("", R"(user.id in ("0", "1"))"), false},
      {"folded by exact", entry("", R"(user.name == "a")"), entry("", R"(user.name : "a")"), false},
      {"exact by folded", entry("", R"(user.name : "A")"), entry("", R"(user.name == "a")"), true},
      {"the same hard text", entry("", "not user.id == \"0\""), entry("", "not user.id == \"0\"", {"GET"}),
       true},
      {"one that ends", changed(agent, until), agent, false},
      {"one that does not", agent, changed(agent, until), true},
      {"without v1", agent, changed(agent, v1), false},
      {"with v1", changed(agent, v1), agent, true},
      {"any query", agent, changed(agent, query), true},
      {"one query", changed(agent, query), agent, false},
      {"a wider query", changed(agent, query), changed(agent, narrow_query), true},
      {"an overlapping query", changed(agent, query), changed(agent, other_query), false},
      {"no such key", changed(agent, no_query), changed(agent, query), false},
      {"all beneath by the path alone", agent, changed(agent, recursive), false},
      {"all beneath by the paths beneath", entry("", kAgent, {}, {"/a/**"}), changed(agent, recursive), true},
      {"all beneath by the same parameter", changed(agent, recursive), changed(agent, recursive), true},
      {"every port", changed(agent, address), changed(agent, endpoint), true},
      {"one port", changed(agent, endpoint), changed(agent, address), false},
  };
  for (auto const &[what, wide, narrow, expected] : cases)
    EXPECT_EQ(covers(wide, EntryKind::allow, narrow), expected) << what;
  EXPECT_TRUE(covers(agent, EntryKind::deny, changed(agent, v1))) << "a denial is for both versions";
  EXPECT_TRUE(covers(agent, EntryKind::deny, changed(agent, recursive)))
      << "a denial is for what is beneath, too";
}

}  // namespace
}  // namespace imdsgate
