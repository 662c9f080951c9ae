#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <filesystem>

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
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
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
  auto const endpoints = [](Provider provider) {
    std::vector<std::string> texts;
    for (auto const &each : PathCatalogue::shipped(provider)->endpoints()) texts.push_back(each.to_string());
    return texts;
  };
  using testing::ElementsAre;
  EXPECT_THAT(endpoints(Provider::ec2),
              ElementsAre("169.254.169.254:80", "[fd00:ec2::254]:80", "169.254.170.2:80", "169.254.170.23:80",
                          "[fd00:ec2::23]:80"));
  EXPECT_THAT(endpoints(Provider::ecs),
              ElementsAre("169.254.170.2:80", "169.254.170.23:80", "[fd00:ec2::23]:80"));
  EXPECT_THAT(endpoints(Provider::wireserver), ElementsAre("168.63.129.16:80", "168.63.129.16:32526"));
  for (auto const provider : {Provider::gce, Provider::azure, Provider::oracle, Provider::openstack})
    EXPECT_THAT(endpoints(provider), ElementsAre("169.254.169.254:80"));
}

TEST(Catalogue, KnowsWhoseAnAddressIsWhereverItIs) {
  auto const at = [](char const *text) { return provider_at(Address::parse(text).value()); };
  EXPECT_EQ(at("169.254.170.2"), Provider::ecs);
  EXPECT_EQ(at("169.254.170.23"), Provider::ecs);
  EXPECT_EQ(at("fd00:ec2::23"), Provider::ecs);
  EXPECT_EQ(at("168.63.129.16"), Provider::wireserver);
  EXPECT_EQ(at("169.254.169.254"), std::nullopt);
  EXPECT_EQ(at("10.0.0.1"), std::nullopt);
}

// provider method target => known | unknown, and the API version (- for none)
TEST(Catalogue, KnowsThePathsThatThereAre) {
  for (auto const &row : table("known_paths.txt")) {
    auto const raw = raw_request(row.given.at(1), unescaped(row.given.at(2)), {{"Host", "169.254.169.254"}});
    auto const request = canonicalize(policy_for(*provider_named(row.given.at(0))), raw);
    ASSERT_TRUE(request) << row.text;
    EXPECT_EQ((request->path_known ? "known " : "unknown ") + request->api_version.value_or("-"), row.result)
        << row.text;
  }
}

// What real clients were recorded to ask for is known, all of it.
TEST(Catalogue, KnowsWhatRealClientsAskFor) {
  std::size_t requests = 0;
  for (auto const &file : std::filesystem::directory_iterator(std::string(FIXTURES) + "/recordings")) {
    if (file.path().extension() != ".jsonl") continue;
    std::ifstream stream(file.path());
    for (std::string line; std::getline(stream, line); ++requests) {
      auto const record = boost::json::parse(line).as_object();
      std::string const request_line(record.at("line").as_string());
      auto const method = request_line.substr(0, request_line.find(' '));
      auto const target = request_line.substr(method.size() + 1, request_line.rfind(' ') - method.size() - 1);
      std::string const dialled(record.at("dst").as_string());
      auto const own = provider_at(Address::parse(dialled.substr(0, dialled.rfind(':'))).value());
      auto const name = file.path().stem().string();
      bool const google = name.ends_with("-gce") || name == "gguest" || name == "gscript";
      bool const microsoft = name.ends_with("-azure") || name == "ciazh";
      auto const host = google ? Provider::gce : microsoft ? Provider::azure : Provider::ec2;
      auto const raw = raw_request(method, target, {{"Host", "x"}});
      auto const request = canonicalize(policy_for(own.value_or(host)), raw);
      ASSERT_TRUE(request) << line;
      EXPECT_TRUE(request->path_known) << file.path().filename() << ' ' << line;
    }
  }
  EXPECT_GE(requests, 150u);
}

}  // namespace
}  // namespace imdsgate
