// What real clients sent (tests/fixtures/recordings), decided on with their profiles in enforce.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "decide/path_classes.hpp"
#include "gateway/profiles.hpp"
#include "unit/decide/people.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

struct Recorded {
  std::string endpoint;
  RawRequest raw;
};

// "169.254.170.2:80"
Endpoint dialled(std::string const &endpoint) {
  auto const colon = endpoint.rfind(':');
  return {Address::parse(endpoint.substr(0, colon)).value(),
          static_cast<std::uint16_t>(std::stoi(endpoint.substr(colon + 1)))};
}

std::vector<Recorded> recording(std::string const &name) {
  std::ifstream stream(std::string(FIXTURES) + "/recordings/" + name + ".jsonl");
  EXPECT_TRUE(stream) << name;
  std::vector<Recorded> all;
  for (std::string line; std::getline(stream, line);) {
    auto const object = boost::json::parse(line).as_object();
    std::string const start(object.at("line").as_string());
    std::vector<Field> fields;
    for (auto const &header : object.at("headers").as_array()) {
      std::string const text(header.as_string());
      auto const colon = text.find(':');
      fields.push_back({text.substr(0, colon), trimmed(text.substr(colon + 1))});
    }
    auto const first = start.find(' '), last = start.rfind(' ');
    all.push_back({std::string(object.at("dst").as_string()),
                   raw_request(start.substr(0, first), start.substr(first + 1, last - first - 1), fields)});
  }
  EXPECT_FALSE(all.empty()) << name;
  return all;
}

// A row of recordings.txt.
struct Client {
  std::string name, profile, executable, unit, beyond, row;
  Provider provider;
  uid_t uid;

  explicit Client(Row const &row)
      : name(row.given.at(0)),
        profile(row.given.at(2)),
        executable(row.given.at(3)),
        unit(row.given.at(5)),
        beyond(row.result),
        row(row.text),
        provider(provider_named(row.given.at(1)).value()),
        uid(static_cast<uid_t>(std::stoul(row.given.at(4)))) {}

  std::vector<PolicyEntry> entries() const {
    if (profile != "v1") {
      bool const sdk = profile.ends_with("-sdk");
      auto const parameters =
          sdk ? std::map<std::string, std::string>{{"unit", unit}} : std::map<std::string, std::string>{};
      return profile_entries({profile, parameters});
    }
    auto own = entry("s3fs", R"(process.executable == "/usr/bin/s3fs" and imdsgate.unit == "s3fs.service")",
                     {"GET", "PUT"},
                     {"/latest/api/token", "/latest/meta-data/iam/security-credentials",
                      "/latest/meta-data/iam/security-credentials/*"});
    own.allow_imdsv1 = true;
    return {own};
  }

  PolicySet policies() const {
    PolicyChoices choices;
    choices.provider = provider;
    choices.endpoints = PathCatalogue::shipped(provider)->endpoints();
    for (auto const *more :
         {"169.254.170.2:80", "169.254.170.23:80", "168.63.129.16:80", "168.63.129.16:32526"}) {
      auto const known = [&](Endpoint const &each) { return each == dialled(more); };
      if (std::ranges::none_of(choices.endpoints, known)) choices.endpoints.push_back(dialled(more));
    }
    choices.rules = {shipped_rule()};
    choices.allow = entries();
    return build_policies(choices);
  }

  Lineage lineage() const {
    Lineage lineage;
    lineage.process = process(executable, executable, uid);
    lineage.process.unit = unit;
    lineage.process.unit_proven = true;
    lineage.parent = process("/usr/lib/systemd/systemd", "/sbin/init", 0);
    return lineage;
  }
};

Decision decided(Policy const &policy, Lineage const &who, MetadataRequest const &request,
                 std::string const &endpoint) {
  Attribution attribution;
  attribution.holders = {std::make_shared<Lineage const>(who)};
  AccessRequest access{request, &attribution, std::nullopt, endpoint,
                       std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000))};
  LiveRules rules({"host-1", "imds-1"});
  rules.use(policy.rules, {});
  auto const sequences = rules.connected({{}, access.now}, attribution, endpoint);
  access.sequences = sequences;
  return decide(policy, access);
}

std::string told(Decision const &decision) {
  std::string text(to_string(decision.verdict));
  for (auto const &finding : decision.findings) text += ' ' + finding.name;
  return text;
}

TEST(Recordings, EachHasItsRow) {
  std::vector<std::string> rows;
  for (auto const &row : table("../profiles/recordings.txt")) rows.push_back(row.given.at(0));
  std::vector<std::string> files = {"ec2-metadata",
                                    "ec2metadata"};  // tools for people, which have no profile
  rows.insert(rows.end(), files.begin(), files.end());
  files.clear();
  for (auto const &file : std::filesystem::directory_iterator(std::string(FIXTURES) + "/recordings")) {
    if (file.path().extension() == ".jsonl") files.push_back(file.path().stem());
  }
  EXPECT_THAT(rows, testing::UnorderedElementsAreArray(files));
}

TEST(Recordings, PassWithTheirProfileUnchangedAndWithoutAnAlert) {
  for (auto const &row : table("../profiles/recordings.txt")) {
    Client const client(row);
    auto const policies = client.policies();
    for (auto const &[endpoint, raw] : recording(client.name)) {
      auto const request = canonicalize(*policies.enforce, raw, dialled(endpoint));
      ASSERT_TRUE(request) << client.row << ' ' << raw.target;
      EXPECT_EQ(request->target, raw.target);
      EXPECT_EQ(request->method, raw.method);
      EXPECT_FALSE(request->ambiguous);
      auto const decision = decided(*policies.enforce, client.lineage(), *request, endpoint);
      EXPECT_EQ(decision.verdict, Verdict::allow)
          << client.name << ' ' << raw.method << ' ' << raw.target << ": " << told(decision);
      EXPECT_EQ(enforce(decision, Mode::enforce), Action::forward);
    }
  }
}

// The same requests by another program, by the same program elsewhere, and by one that only claims its unit.
TEST(Recordings, GiveNobodyElseTheirCredentials) {
  for (auto const &row : table("../profiles/recordings.txt")) {
    Client const client(row);
    auto const policies = client.policies();
    std::vector<Lineage> others(3, client.lineage());
    others[0].process = process("/home/web/fetch", "fetch", 1002);
    others[1].process.unit = "other.service";
    others[1].process.effective_uid = 1002;
    others[2].process.unit_proven = false;
    others[2].process.executable->unproven = Unproven::other_file;
    for (auto const &[endpoint, raw] : recording(client.name)) {
      auto const request = canonicalize(*policies.enforce, raw, dialled(endpoint)).value();
      if (request.path_class < PathClass::identity) continue;
      for (auto const &other : others) {
        auto const decision = decided(*policies.enforce, other, request, endpoint);
        EXPECT_EQ(enforce(decision, Mode::enforce), Action::block)
            << client.name << ' ' << raw.target << told(decision);
      }
    }
  }
}

TEST(Recordings, GiveNothingBeyondTheProfile) {
  for (auto const &row : table("../profiles/recordings.txt")) {
    Client const client(row);
    auto const policies = client.policies();
    bool const container = client.beyond.find("/credentials") == 3;  // ECS and EKS have their own addresses
    auto const endpoint =
        container ? recording(client.name).front().endpoint : std::string("169.254.169.254:80");
    auto raw = raw_request("GET", client.beyond,
                           {{"Host", "169.254.169.254"}, {"X-aws-ec2-metadata-token", "AQ=="}});
    auto const request = canonicalize(*policies.enforce, raw, dialled(endpoint)).value();
    EXPECT_GE(request.path_class, PathClass::identity) << client.row;
    auto const decision = decided(*policies.enforce, client.lineage(), request, endpoint);
    EXPECT_EQ(enforce(decision, Mode::enforce), Action::block) << client.row << told(decision);
  }
}

}  // namespace
}  // namespace imdsgate
