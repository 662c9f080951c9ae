// Which Host headers are the service's own (DNS rebinding), and what follows from another.
#include <gmock/gmock.h>

#include "unit/decide/people.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

constexpr auto kRole = "/latest/meta-data/iam/security-credentials/role";

std::optional<Endpoint> endpoint_named(std::string_view text) {
  auto const colon = text.rfind(':');
  auto host = text.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  auto const address = Address::parse(host);
  if (!address) return std::nullopt;
  return Endpoint{address.value(),
                  static_cast<std::uint16_t>(std::stoi(std::string(text.substr(colon + 1))))};
}

RawRequest asking(std::string target, std::string const &host, std::string method = "GET") {
  if (host == "-") return raw_request(std::move(method), std::move(target), {}, 10);
  return raw_request(std::move(method), std::move(target), {{"Host", host}});
}

TEST(Host, IsKnownAsTheTableSays) {
  for (auto const &row : table("hosts.txt")) {
    PolicyChoices choices;
    choices.provider = *provider_named(row.given.at(0));
    auto const dialled = endpoint_named(row.given.at(1));
    choices.endpoints = {*endpoint_named("169.254.169.254:80"), *endpoint_named("[fd00:ec2::254]:80")};
    if (*dialled != choices.endpoints[0] && *dialled != choices.endpoints[1])
      choices.endpoints.push_back(*dialled);
    auto const request =
        canonicalize(*build_policies(choices).enforce, asking("/x", unescaped(row.given.at(2))), dialled);
    auto const told = !request ? name(request.error().reason) : request->known_host ? "known" : "unknown";
    EXPECT_EQ(told, row.result) << row.text;
  }
}

TEST(Host, HasTheNamesThatItsEndpointIsGiven) {
  PolicyChoices choices;
  Endpoint const named = *endpoint_named("169.254.169.254:80"), other = *endpoint_named("[fd00:ec2::254]:80");
  choices.endpoints = {named, other};
  choices.particular[named].hosts = {"imds.corp.example"};
  auto const policies = build_policies(choices);
  auto const known = [&](Endpoint const &endpoint, std::string const &host) {
    return canonicalize(*policies.audit, asking("/x", host), endpoint)->known_host;
  };
  EXPECT_TRUE(known(named, "IMDS.corp.example.:80"));
  EXPECT_FALSE(known(other, "imds.corp.example"));
}

TEST(Host, MayBeAnythingOverTheUnixListener) {
  EXPECT_TRUE(canonicalize(policy_for(Provider::ec2), asking("/x", "localhost"))->known_host);
}

std::string decided(Policy const &policy, std::string const &target, std::string const &host,
                    std::string const &who) {
  Case asked(who, "GET", "/x", "v2");
  auto raw = asking(target, host);
  raw.fields.push_back({"X-aws-ec2-metadata-token", "AQ=="});
  asked.request = canonicalize(policy, raw, *endpoint_named("169.254.169.254:80")).value();
  auto const decision = asked.decided(policy);
  std::string text(to_string(decision.verdict));
  for (auto const &finding : decision.findings) text += ' ' + finding.name;
  return text;
}

// Also of somebody with a grant: whoever made the name chose what he asks for.
TEST(Host, ThatIsUnknownAlertsAndBlocksAboveGeneral) {
  auto const policies = build_policies(choices_of({"allow:agent"}));
  for (auto const mode : {Mode::audit, Mode::enforce}) {
    auto const &policy = *policies.of(mode);
    EXPECT_EQ(decided(policy, "/latest/meta-data/instance-id", "evil.example", "stranger"),
              "alert unknown_host");
    EXPECT_EQ(decided(policy, "/latest/user-data", "evil.example", "stranger"), "block unknown_host");
    EXPECT_EQ(decided(policy, kRole, "evil.example", "agent"), "block unknown_host agent");
    EXPECT_EQ(decided(policy, kRole, "169.254.169.254", "agent"), "allow agent");
  }
}

}  // namespace
}  // namespace imdsgate
