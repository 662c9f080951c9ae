#include "gateway/profiles.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "decide/decide.hpp"
#include "decide/grant_scope.hpp"
#include "decide/path_classes.hpp"

namespace imdsgate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> problems(std::string const &text, std::optional<ProfileChoice> &choice) {
  yaml::Reader reader("f");
  auto const root = reader.load(text);
  choice = read_profile_choice(reader, root.value());
  std::vector<std::string> texts;
  for (auto const &problem : reader.problems()) texts.push_back(problem.to_string());
  return texts;
}

TEST(Profiles, AreThose) {
  EXPECT_THAT(profile_names(),
              ElementsAre("amazon-ec2-net-utils", "amazon-ssm-agent", "aws-sdk", "azure-sdk", "cloud-init",
                          "ec2-instance-connect", "ecs-agent", "google-guest-agent", "google-osconfig-agent",
                          "google-oslogin", "google-sdk", "kubelet", "waagent", "walinuxagent-extensions"));
}

TEST(Profiles, AreWellFormedAndNamed) {
  for (auto const &name : profile_names()) {
    auto const entries = profile_entries({name, {{"unit", "app.service"}}});
    EXPECT_FALSE(entries.empty()) << name;
    for (auto const &entry : entries) {
      EXPECT_TRUE(entry.name.starts_with(name + '/')) << entry.name;
      EXPECT_EQ(entry.profile, name);
      EXPECT_EQ(entry.when_text.find('{'), std::string::npos) << entry.when_text;
      EXPECT_FALSE(entry.paths.empty() || entry.methods.empty()) << entry.name;
    }
  }
}

// Nobody but OS Login's entry is for everyone, and that one is for its three paths.
TEST(Profiles, NameAProgramAndAUser) {
  for (auto const &name : profile_names()) {
    for (auto const &entry : profile_entries({name, {{"unit", "app.service"}}})) {
      if (name == "google-oslogin") {
        EXPECT_FALSE(entry.when);
        EXPECT_THAT(entry.paths,
                    ElementsAre("/computeMetadata/v1/oslogin/users", "/computeMetadata/v1/oslogin/groups",
                                "/computeMetadata/v1/oslogin/authorize"));
      } else {
        ASSERT_TRUE(entry.when) << entry.name;
        for (auto const &fault : faults_of(*entry.when))
          EXPECT_TRUE(fault.warning) << entry.name << fault.text;
      }
    }
  }
}

// No pattern of theirs reaches a credential by a wildcard that was meant for something else.
TEST(Profiles, GiveCredentialsToThoseThatNeedThem) {
  struct Secret {
    Provider provider;
    char const *target;
    std::vector<std::string> may;
  };
  Secret const secrets[] = {{Provider::ec2,
                             "/latest/meta-data/iam/security-credentials/role",
                             {"amazon-ssm-agent", "aws-sdk", "ecs-agent", "kubelet"}},
                            {Provider::ec2,
                             "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
                             {"amazon-ssm-agent", "ec2-instance-connect"}},
                            {Provider::ec2, "/latest/dynamic/instance-identity/pkcs7", {"cloud-init"}},
                            {Provider::ecs, "/v2/credentials/x", {"aws-sdk"}},
                            {Provider::gce,
                             "/computeMetadata/v1/instance/service-accounts/default/token",
                             {"google-sdk", "kubelet"}},
                            {Provider::gce,
                             "/computeMetadata/v1/instance/service-accounts/default/identity",
                             {"google-osconfig-agent", "google-sdk"}},
                            {Provider::gce,
                             "/computeMetadata/v1/instance/gce-workload-certificates/workload-identities",
                             {"google-guest-agent"}},
                            {Provider::azure, "/metadata/identity/oauth2/token", {"azure-sdk", "kubelet"}},
                            {Provider::azure, "/metadata/attested/document", {}}};
  for (auto const &[provider, target, may] : secrets) {
    ASSERT_GE(PathCatalogue::shipped(provider)->classify("GET", {target, {}}).path_class, PathClass::identity)
        << target;
    std::vector<std::string> have;
    for (auto const &name : profile_names()) {
      auto const entries = profile_entries({name, {{"unit", "app.service"}}});
      auto const reaches = [&, path = std::string(target)](PolicyEntry const &entry) {
        PolicyEntry open = entry;
        open.query.clear();
        open.endpoints.clear();
        MetadataRequest request;
        request.method = "GET";
        request.target = request.path = path;
        request.provider = provider;
        AccessRequest const access{request, nullptr, std::nullopt, "", {}};
        return concerns(open, AccessReadings(access), EntryKind::allow);
      };
      if (std::ranges::any_of(entries, reaches)) have.push_back(name);
    }
    EXPECT_EQ(have, may) << target;
  }
}

// A path without a wildcard is one that some cloud has: a typing mistake would be one that none has.
TEST(Profiles, NamePathsThatTheCatalogueKnows) {
  PolicyChoices choices;
  choices.provider_known = false;
  auto const policy = build_policies(choices).enforce;
  for (auto const &name : profile_names()) {
    for (auto const &entry : profile_entries({name, {{"unit", "app.service"}}})) {
      for (auto const &path : entry.paths) {
        if (path.find('*') != std::string::npos) continue;
        auto target = path;
        for (auto const &[key, values] : entry.query)
          target += (target == path ? '?' : '&') + key + '=' + values.front();
        for (auto const &method : entry.methods) {
          auto const request = canonicalize(*policy, {method, target, 11, {{"Host", "169.254.169.254"}}, {}});
          ASSERT_TRUE(request) << entry.name << ' ' << target;
          EXPECT_TRUE(request->path_known) << entry.name << ' ' << target;
        }
      }
    }
  }
}

TEST(Profiles, AreChosenByNameOrWithTheirParameters) {
  std::optional<ProfileChoice> choice;
  EXPECT_THAT(problems("cloud-init", choice), testing::IsEmpty());
  EXPECT_EQ(choice.value(), (ProfileChoice{"cloud-init", {}}));
  EXPECT_THAT(problems("{name: cloud-init}", choice), testing::IsEmpty());
  EXPECT_THAT(problems("{name: aws-sdk, unit: \"my-app@1.service\"}", choice), testing::IsEmpty());
  EXPECT_EQ(choice.value(), (ProfileChoice{"aws-sdk", {{"unit", "my-app@1.service"}}}));
  EXPECT_EQ(profile_entries(*choice).front().when_text, "imdsgate.unit == \"my-app@1.service\"\n");
}

TEST(Profiles, SayWhatIsWrongWithTheirChoice) {
  std::optional<ProfileChoice> choice;
  auto const problem = [&](char const *text) {
    auto const all = problems(text, choice);
    EXPECT_FALSE(choice) << text;
    return all.empty() ? std::string() : all.front();
  };
  EXPECT_THAT(problem("cloud-inti"),
              HasSubstr("f:1:1: there is no profile cloud-inti; did you mean cloud-init?"));
  EXPECT_THAT(problem("zzz"), HasSubstr("there are amazon-ec2-net-utils, "));
  EXPECT_THAT(problem("aws-sdk"),
              HasSubstr("the profile aws-sdk needs its unit: write {name: aws-sdk, unit: …}"));
  EXPECT_THAT(problem("{name: aws-sdk}"), HasSubstr("key 'unit' is missing"));
  EXPECT_THAT(problem("{unit: x.service}"), HasSubstr("key 'name' is missing"));
  EXPECT_THAT(problem("{name: aws-sdk, unit: my-app}"), HasSubstr("f:1:23: unit: expected a unit's name"));
  EXPECT_THAT(problem("{name: aws-sdk, unit: 'x\" or true or y == \"y.service'}"),
              HasSubstr("expected a unit's name"));
  problems("{name: cloud-init, unit: x.service}", choice);
  EXPECT_THAT(problems("{name: cloud-init, unit: x.service}", choice),
              ElementsAre(HasSubstr("unknown key 'unit'")));
}

}  // namespace
}  // namespace imdsgate
