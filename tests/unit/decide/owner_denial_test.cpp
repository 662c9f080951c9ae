// What a rule of the host's own firewall keeps somebody from, in both modes.
#include <gtest/gtest.h>

#include <algorithm>

#include "unit/decide/people.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

// "48", "1-999", "!0", "all"
IdRanges ranges(std::string const &text) {
  if (text == "all") return {IdRange{}};
  auto const number = [](std::string const &digits) {
    return static_cast<std::uint32_t>(std::stoul(digits));
  };
  if (text == "!0") return {IdRange{1, IdRange::kLast}};
  auto const dash = text.find('-');
  if (dash == text.npos) return {IdRange{number(text), number(text)}};
  return {IdRange{number(text.substr(0, dash)), number(text.substr(dash + 1))}};
}

PolicySet with_denial(std::vector<std::string> const &policy, OwnerDenial const &denial) {
  return beside_host_rules(build_policies(choices_of(policy)), {denial}, {});
}

OwnerDenial denial_of(std::string const &uids, std::string const &gids) {
  return {ranges(uids), ranges(gids), {{*Address::parse("169.254.169.254"), 80}}, "here", {}};
}

TEST(OwnerDenial, HoldsAsTheTableSays) {
  for (auto const &row : table("owner_denials.txt")) {
    auto const &given = row.given;
    Case asked(given.at(2), given.at(4), given.at(5), given.at(6));
    if (given.at(3) != "?") asked.socket_uid = static_cast<std::uint32_t>(std::stoul(given.at(3)));
    auto const policies = with_denial({given.begin() + 7, given.end()}, denial_of(given.at(0), given.at(1)));
    EXPECT_EQ(told(asked.decided(*policies.audit), Mode::audit) + ' ' +
                  told(asked.decided(*policies.enforce), Mode::enforce),
              row.result)
        << row.text;
  }
}

TEST(OwnerDenial, IsAboutItsEndpointsAlone) {
  Case asked("stranger", "GET", "/latest/meta-data/instance-id", "v2");
  asked.socket_uid = 1000;
  auto denial = denial_of("1000", "all");
  EXPECT_TRUE(asked.decided(*with_denial({"norules"}, denial).audit).in_every_mode);
  denial.endpoints = {{*Address::parse("169.254.169.254"), 8080}, {*Address::parse("fd00:ec2::254"), 80}};
  EXPECT_EQ(told(asked.decided(*with_denial({"norules"}, denial).audit), Mode::audit), "allow/forward []");
}

// No word of what the target was ambiguous about: the firewall would not have let it get that far.
TEST(OwnerDenial, IsAnsweredWith403) {
  Case asked("stranger", "GET", "/latest/%75ser-data", "v2");
  asked.socket_uid = 1000;
  EXPECT_EQ(asked.decided(*with_denial({"-"}, denial_of("1000", "all")).enforce).block_status, 403);
  asked.socket_uid = 0;
  EXPECT_EQ(asked.decided(*with_denial({"-"}, denial_of("1000", "all")).enforce).block_status, 400);
  asked.socket_uid = 1000;
  asked.over_rate = true;
  EXPECT_EQ(asked.decided(*with_denial({"-"}, denial_of("1000", "all")).enforce).block_status, 403);
}

TEST(OwnerDenial, SaysItsIdsAsPeopleDo) {
  EXPECT_EQ(to_string(IdRanges{{48, 48}}), "48");
  EXPECT_EQ(to_string(IdRanges{{0, 7}, {65534, 65534}}), "0-7, 65534");
  EXPECT_EQ(to_string(IdRanges{{1, IdRange::kLast}}), "all but 0");
  EXPECT_EQ(to_string(IdRanges{{0, 4}, {6, IdRange::kLast}}), "all but 5");
  EXPECT_EQ(to_string(IdRanges{{1000, IdRange::kLast}}), "all but 0-999");
  EXPECT_EQ(to_string(IdRanges{IdRange{}}), "all");
}

TEST(OwnerDenial, EndpointsThatAreLeftOutLeaveThePolicy) {
  auto choices = choices_of({"-"});
  choices.endpoints = {{*Address::parse("169.254.169.254"), 80}, {*Address::parse("169.254.170.2"), 80}};
  auto const policies = beside_host_rules(build_policies(choices), {}, {choices.endpoints[1]});
  for (auto const mode : {Mode::audit, Mode::enforce}) {
    EXPECT_EQ(policies.of(mode)->endpoints, std::vector{choices.endpoints[0]});
    EXPECT_EQ(service_at(*policies.of(mode), choices.endpoints[1]), nullptr);
  }
}

}  // namespace
}  // namespace imdsgate
