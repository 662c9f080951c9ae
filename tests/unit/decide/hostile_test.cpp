// Targets, queries, Hosts and headers that somebody writes to get past the decision: what each mode does with
// them, and that nothing which a service could take for a secret is forwarded in enforce without a grant.
#include <gtest/gtest.h>

#include <random>

#include "decide/ascii_case.hpp"
#include "unit/decide/lenient_service.hpp"
#include "unit/decide/people.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

Endpoint const kDialled{Address::from_v4({169, 254, 169, 254}), 80};

struct Hostile {
  Provider provider;
  RawRequest raw;

  explicit Hostile(std::vector<std::string> const &given) : provider(*provider_named(given.at(0))) {
    std::vector<Field> fields;
    for (std::size_t i = 3; i < given.size(); ++i) {
      auto const colon = given[i].find(':');
      fields.push_back({unescaped(given[i].substr(0, colon)), unescaped(given[i].substr(colon + 1))});
    }
    if (fields.empty() || !equal_folded(fields.front().name, "host")) {
      fields.insert(fields.begin(), {"Host", "169.254.169.254"});
    }
    if (provider == Provider::ec2) fields.push_back({"X-aws-ec2-metadata-token", "AQ=="});
    raw = raw_request(unescaped(given.at(1)), unescaped(given.at(2)), std::move(fields));
  }

  std::string outcome(Policy const &policy, Mode mode) const {
    auto request = canonicalize(policy, raw, kDialled);
    if (!request) return "400 " + std::string(name(request.error().reason));
    Case asked("stranger", "GET", "/", "v2");
    asked.request = std::move(request.value());
    auto const decision = asked.decided(policy);
    if (enforce(decision, mode) == Action::forward) return "forward";
    return std::to_string(decision.block_status) + ' ' + decision.findings.front().name;
  }
};

TEST(HostileRequests, GetWhatTheTableSays) {
  auto const rows = table("hostile_requests.txt");
  EXPECT_GE(rows.size(), 500u);
  for (auto const &row : rows) {
    Hostile const hostile(row.given);
    auto const policies = policies_for(hostile.provider);
    auto const audit = hostile.outcome(*policies.audit, Mode::audit);
    auto const enforced = hostile.outcome(*policies.enforce, Mode::enforce);
    EXPECT_EQ(audit + ", " + enforced, row.result) << row.text;
    bool const secret = test::LenientService(row.given.at(0)).may_answer_with_a_secret(hostile.raw.target);
    EXPECT_FALSE(secret && enforced == "forward") << row.text;
  }
}

// The same for targets that nobody wrote down.
TEST(HostileRequests, OfEveryKindReachNoSecretInEnforce) {
  static std::vector<std::string> const kPieces = {
      "/",
      "/",
      "/",
      "//",
      "latest",
      "meta-data",
      "iam",
      "security-credentials",
      "role",
      "identity-credentials",
      "ec2",
      "ec2-instance",
      "dynamic",
      "instance-identity",
      "pkcs7",
      "/latest/meta-data/iam/security-credentials/role",
      "/latest/meta-data/iam/",
      "computeMetadata",
      "v1",
      "instance",
      "service-accounts",
      "default",
      "token",
      "/computeMetadata/v1/instance/service-accounts/default/token",
      "0.1",
      "acquire",
      "metadata",
      "identity",
      "oauth2",
      "/metadata/identity/oauth2/token",
      "/metadata/attested/document",
      "..",
      ".",
      "%2e",
      "%2f",
      "%5c",
      "%25",
      "%00",
      "%3f",
      "%3b",
      "%63omp",
      "\\",
      ";",
      ";x=y",
      "?",
      "&",
      "=",
      "comp",
      "certificates",
      "?comp=certificates",
      "?recursive=true",
      "x",
      "%",
      "%zz",
      "\xff",
      "\t",
      " ",
      "@",
      "http://",
      "evil.example",
      "169.254.169.254",
      ":80",
      "LATEST",
      "Meta-Data",
      "IDENTITY",
      "#",
      "+"};
  std::mt19937 random(20260303);
  std::uniform_int_distribution<std::size_t> piece(0, kPieces.size() - 1), length(1, 9);
  std::size_t forwarded = 0, secrets = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string target = "/";
    for (auto left = length(random); left > 0; --left) target += kPieces[piece(random)];
    for (auto const *cloud : {"ec2", "gce", "azure", "ecs", "wireserver", "oracle"}) {
      Hostile const hostile({cloud, "GET", "/"});
      auto raw = hostile.raw;
      raw.target = target;
      auto const request = canonicalize(policy_for(hostile.provider), raw, kDialled);
      bool const goes = request && !request->ambiguous && request->path_class < PathClass::identity;
      bool const secret = test::LenientService(cloud).may_answer_with_a_secret(target);
      forwarded += goes ? 1 : 0;
      secrets += secret ? 1 : 0;
      ASSERT_FALSE(goes && secret) << cloud << ' ' << target;
    }
  }
  EXPECT_GE(forwarded, 5000u);
  EXPECT_GE(secrets, 500u);
}

}  // namespace
}  // namespace imdsgate
