#include <gtest/gtest.h>

#include <chrono>

#include "decide/path_classes.hpp"
#include "decide/path_pattern.hpp"
#include "unit/decide/requests.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

TEST(PathPatterns, MatchAsTheTableSays) {
  for (auto const &row : table("path_patterns.txt")) {
    auto const pattern = normalise_pattern(row.given.at(0));
    ASSERT_TRUE(pattern) << row.text;
    EXPECT_EQ(path_matches(*pattern, row.given.at(1)) ? "yes" : "no", row.result) << row.text;
  }
}

TEST(PathPatterns, ThatCanNeverMatchAreErrors) {
  for (auto const &row : table("bad_patterns.txt")) {
    auto const pattern = normalise_pattern(unescaped(row.given.at(0)));
    ASSERT_FALSE(pattern) << row.text;
    EXPECT_NE(pattern.error().detail.find(row.result), std::string::npos) << pattern.error().detail;
  }
}

// Nested stars must not make one request cost seconds: this would take 2^40 steps if every star were tried.
TEST(PathPatterns, DoNotBacktrackExponentially) {
  std::string pattern, path, glob = "/";
  for (int i = 0; i < 40; ++i) {
    pattern += "/**/a";
    path += "/a/a";
    glob += "*a";
  }
  auto const before = std::chrono::steady_clock::now();
  EXPECT_FALSE(path_matches(pattern + "/b", path));
  EXPECT_FALSE(path_matches(glob + "b", "/" + std::string(4000, 'a')));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST(CanonicalPath, IsIdempotent) {
  for (auto const *path : {"", "/", "//", "///a", "/a/", "/a//b///", "a", "/a/b/c"}) {
    auto const once = canonical_path(path);
    EXPECT_EQ(canonical_path(once), once);
    EXPECT_TRUE(once.starts_with('/')) << path;
    EXPECT_TRUE(once == "/" || !once.ends_with('/')) << path;
  }
}

TEST(PathClasses, AreThoseOfTheTable) {
  for (auto const &row : table("path_classes.txt")) {
    auto const provider = provider_named(row.given.at(0));
    ASSERT_TRUE(provider) << row.text;
    auto const raw = raw_request(row.given.at(1), row.given.at(2), {{"Host", "169.254.169.254"}});
    auto const request = canonicalize(policy_for(*provider), raw);
    ASSERT_TRUE(request) << row.text;
    EXPECT_EQ(to_string(request->path_class), row.result) << row.text;
    EXPECT_FALSE(request->ambiguous) << row.text;
  }
}

// A host whose cloud is not known gets the strictest of all.
TEST(PathClasses, OfEveryCloudAreKnownWhereTheCloudIsNot) {
  PolicyChoices choices;
  choices.provider_known = false;
  auto const policies = build_policies(choices);
  for (auto const &row : table("path_classes.txt")) {
    auto const raw = raw_request(row.given.at(1), row.given.at(2), {{"Host", "169.254.169.254"}});
    auto const request = canonicalize(*policies.audit, raw);
    ASSERT_TRUE(request) << row.text;
    auto const alone = canonicalize(policy_for(*provider_named(row.given.at(0))), raw);
    EXPECT_GE(request->path_class, alone->path_class) << row.text;
  }
}

TEST(Catalogue, RefusesWhatItDoesNotKnow) {
  for (auto const *text :
       {"unknown: 1", "classes: [{class: credentials, path: [/a]}]", "classes: [{class: x, paths: [/a]}]",
        "classes: [{class: trust, paths: [/a/**]}]", "classes: [{class: trust, paths: [a]}]"}) {
    EXPECT_ANY_THROW(PathCatalogue::parse(text)) << text;
  }
}

TEST(Catalogue, NamesWhatEachProviderHas) {
  for (auto const provider : {Provider::ec2, Provider::gce, Provider::azure}) {
    auto const catalogue = PathCatalogue::shipped(provider);
    ASSERT_FALSE(catalogue->endpoints().empty());
    EXPECT_EQ(catalogue->endpoints().front().to_string(), "169.254.169.254:80");
  }
  EXPECT_EQ(PathCatalogue::shipped(Provider::ec2)->endpoints().at(1).to_string(), "[fd00:ec2::254]:80");
}

}  // namespace
}  // namespace imdsgate
