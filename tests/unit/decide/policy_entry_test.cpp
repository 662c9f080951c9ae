#include "decide/policy_entry.hpp"

#include <gtest/gtest.h>

#include "unit/decide/people.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

std::vector<std::string> split(std::string const &text, char at) {
  std::vector<std::string> parts(1);
  for (char const c : text) {
    if (c == at)
      parts.emplace_back();
    else
      parts.back().push_back(c);
  }
  return parts;
}

std::vector<QueryCondition> conditions(std::string const &text) {
  std::vector<QueryCondition> all;
  for (auto const &part : split(text, '&')) {
    auto const equals = part.find('=');
    all.push_back({part.substr(0, equals), {}});
    if (equals + 1 < part.size()) all.back().values = split(part.substr(equals + 1), '|');
  }
  return all;
}

bool about(PolicyEntry const &entry, std::string const &target, EntryKind kind,
           Provider provider = Provider::azure) {
  auto const request = canonicalize(policy_for(provider), get(target));
  if (!request) return ADD_FAILURE() << target, false;
  AccessRequest const access{*request, nullptr, std::nullopt, "", {}};
  return concerns(entry, AccessReadings(access), kind);
}

std::string told(PolicyEntry const &entry, std::string const &target, Provider provider) {
  auto const word = [&](EntryKind kind) { return about(entry, target, kind, provider) ? "yes" : "no"; };
  return std::string(word(EntryKind::allow)) + ' ' + word(EntryKind::deny);
}

TEST(PolicyEntries, HoldTheirQueryConditionsAsTheTableSays) {
  for (auto const &row : table("query_conditions.txt")) {
    PolicyEntry entry;
    entry.query = conditions(row.given.at(0));
    EXPECT_EQ(told(entry, row.given.at(1), Provider::azure), row.result) << row.text;
  }
}

TEST(PolicyEntries, HoldTheirPathsAsTheTableSays) {
  for (auto const &row : table("entry_paths.txt")) {
    PolicyEntry entry;
    entry.paths = split(row.given.at(1), '|');
    if (row.given.at(2) != "-") entry.query = conditions(row.given.at(2));
    EXPECT_EQ(told(entry, unescaped(row.given.at(3)), provider_named(row.given.at(0)).value()), row.result)
        << row.text;
  }
}

TEST(PolicyEntries, AreForTheirEndpointsOnly) {
  auto request = canonicalize(policy_for(Provider::ec2), get("/x")).value();
  AccessRequest const access{request, nullptr, std::nullopt, "", {}};
  PolicyEntry entry;
  auto const at = [&](char const *address, std::uint16_t port = 80) {
    request.endpoint = {Address::parse(address).value(), port};
    return concerns(entry, AccessReadings(access), EntryKind::allow);
  };
  EXPECT_TRUE(at("169.254.170.2"));
  entry.endpoints = {{Address::parse("169.254.170.2").value(), std::nullopt},
                     {Address::parse("fd00:ec2::23").value(), 80}};
  EXPECT_TRUE(at("169.254.170.2"));
  EXPECT_TRUE(at("169.254.170.2", 8080));
  EXPECT_TRUE(at("fd00:ec2::23"));
  EXPECT_FALSE(at("fd00:ec2::23", 8080));
  for (auto const *other : {"169.254.170.23", "169.254.169.254", "fd00:ec2::2"})
    EXPECT_FALSE(at(other)) << other;
}

TEST(Decide, GrantsOneResourceAndNoOther) {
  PolicyChoices choices;
  choices.provider = Provider::azure;
  choices.allow = {entry("vault", R"(process.executable == "/usr/bin/amazon-ssm-agent" and user.id == "0")",
                         {"GET"}, {"/metadata/identity/oauth2/token"})};
  choices.allow[0].query = conditions("api-version=2018-02-01&resource=https://vault.azure.net*");
  auto const policies = build_policies(choices);
  Case asked("agent", "GET", "/x", "-");
  auto const verdict = [&](std::string const &query) {
    asked.request = canonicalize(*policies.enforce, get("/metadata/identity/oauth2/token?" + query)).value();
    return asked.decided(*policies.enforce).verdict;
  };
  EXPECT_EQ(verdict("api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net"), Verdict::allow);
  EXPECT_EQ(verdict("api-version=2018-02-01&resource=https://management.azure.com/"), Verdict::block);
  EXPECT_EQ(verdict("api-version=2018-02-01"), Verdict::block);
  EXPECT_EQ(verdict("resource=https://vault.azure.net"), Verdict::block);
}

}  // namespace
}  // namespace imdsgate
