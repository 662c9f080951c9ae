// The index gives what a plain scan gives: random policies and requesters, the scan written out here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "decide/socket_holder.hpp"
#include "unit/decide/people.hpp"

namespace imdsgate {
namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int below(int limit) { return std::uniform_int_distribution<>(0, limit - 1)(engine_); }
  std::string of(std::vector<std::string> const &list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(list.size())))];
  }

 private:
  std::mt19937 engine_;
};

std::vector<std::string> const kExecutables = {
    "/usr/bin/curl", "/usr/bin/agent", "/usr/bin/AGENT", "/usr/bin", "/opt/a/b/c", "/opt/a", "agent", "/x"};
std::vector<std::string> const kPaths = {"/",
                                         "/latest/user-data",
                                         "/latest/meta-data/iam/security-credentials/role",
                                         "/latest/meta-data",
                                         "/latest/meta-data/iam",
                                         "/LATEST/User-Data",
                                         "/latest/%75ser-data",
                                         "/x/..%2flatest/meta-data",
                                         "/a"};
std::vector<std::string> const kPatterns = {"/",
                                            "/**",
                                            "/*",
                                            "/latest/**",
                                            "/latest/user-data",
                                            "/latest/*",
                                            "/latest/meta-data/**",
                                            "/latest/meta-data/iam/**/role",
                                            "/*/meta-data",
                                            "/a",
                                            "/LATEST/user-data",
                                            "/**/role"};

std::string some_when(Random &random) {
  auto const executable = [&] { return '"' + random.of(kExecutables) + '"'; };
  switch (random.below(11)) {
    case 0: return "process.executable == " + executable();
    case 1: return "process.executable in (" + executable() + ", " + executable() + ")";
    case 2: return "process.executable : (\"/usr/bin/a*\", " + executable() + ")";
    case 3: return "process.executable : \"*/c\"";
    case 4: return "process.executable like \"/opt/?/*\"";
    case 5: return "not process.executable == " + executable();
    case 6:
      return "process.executable == " + executable() + " and user.id == \"" +
             std::to_string(random.below(2)) + '"';
    case 7: return "process.executable == " + executable() + " or user.id == \"1\"";
    case 8:
      return "(process.executable == " + executable() +
             " and user.id == \"1\") or process.executable : " + executable();
    case 9: return "user.id == \"0\"";
    default: return "";
  }
}

std::vector<PolicyEntry> some_entries(Random &random, char const *prefix) {
  std::vector<PolicyEntry> entries;
  for (int left = random.below(14); left > 0; --left) {
    std::vector<std::string> paths;
    for (int more = random.below(3); more > 0; --more) paths.push_back(random.of(kPatterns));
    entries.push_back(entry(prefix + std::to_string(entries.size()), some_when(random), {}, paths));
  }
  return entries;
}

LineagePtr someone(Random &random) {
  Lineage lineage;
  auto &self = lineage.process =
      process(random.of(kExecutables), random.of(kExecutables), static_cast<uid_t>(random.below(2)));
  switch (random.below(5)) {
    case 0: self.executable.reset(); break;
    case 1: self.executable->unproven = Unproven::other_file; break;
    case 2: self.tracer_pid = 1; break;
    default: break;
  }
  return std::make_shared<Lineage const>(std::move(lineage));
}

struct Scanned {
  std::vector<std::string> denials;
  std::optional<std::string> grant;
};

Scanned scan(Policy const &policy, AccessRequest const &access) {
  AccessReadings const asked(access);
  std::vector<SocketHolder> suspects;
  for (auto const &holder : access.attribution->holders) suspects.emplace_back(*holder, access);
  Scanned scanned;
  for (auto const &each : policy.deny) {
    auto const accused = [&](SocketHolder &suspect) { return suspect.is_accused(each); };
    if (concerns(each, asked, EntryKind::deny) && std::ranges::any_of(suspects, accused))
      scanned.denials.push_back(each.name);
  }
  for (auto const &each : policy.allow) {
    auto const vouched = [&](SocketHolder &suspect) { return suspect.is_vouched_for(each); };
    if (scanned.denials.empty() && !access.request.ambiguous && concerns(each, asked, EntryKind::allow) &&
        std::ranges::all_of(suspects, vouched)) {
      scanned.grant = each.name;
      break;
    }
  }
  return scanned;
}

TEST(EntryIndex, GivesWhatAPlainScanGives) {
  Random random(20260311);
  int denied = 0, granted = 0, neither = 0;
  for (int round = 0; round < 6000; ++round) {
    PolicyChoices choices;
    choices.provider = random.below(3) == 0 ? Provider::azure : Provider::ec2;
    choices.allow = some_entries(random, "allow");
    if (random.below(3) == 0) choices.deny = some_entries(random, "deny");
    auto const policy = build_policies(choices).enforce;
    Attribution attribution;
    for (int holders = 1 + random.below(2); holders > 0; --holders)
      attribution.holders.push_back(someone(random));
    auto const request = canonicalize(*policy, get(random.of(kPaths))).value();
    AccessRequest const access{request, &attribution, std::nullopt, "169.254.169.254:80", {}};
    auto const decision = decide(*policy, access);
    auto const expected = scan(*policy, access);
    std::vector<std::string> denials;
    for (auto const &finding : decision.findings) {
      if (finding.reason == Reason::policy_deny) denials.push_back(finding.name);
    }
    ASSERT_EQ(denials, expected.denials) << round;
    ASSERT_EQ(decision.grant, expected.grant) << round << ' ' << request.path;
    ++(!denials.empty() ? denied : decision.grant ? granted : neither);
  }
  EXPECT_GT(std::min({denied, granted, neither}), 500);
}

TEST(EntryIndex, LooksAtFewOfManyEntries) {
  std::vector<PolicyEntry> entries;
  for (int i = 0; i < 1000; ++i) {
    auto const program = "/opt/app" + std::to_string(i) + "/bin/agent";
    entries.push_back(entry("by-program", R"(process.executable == ")" + program + R"(" and user.id == "0")",
                            {}, {"/latest/**"}));
    entries.push_back(entry("by-path", "", {}, {"/latest/meta-data/" + std::to_string(i) + "/*"}));
  }
  EntryIndex const index(entries);
  std::vector<std::string> const who = {"/opt/app7/bin/agent"};
  EXPECT_THAT(index.candidates("/latest/meta-data/5/x", who), testing::ElementsAre(11u, 14u));
  EXPECT_THAT(index.candidates("/latest/meta-data/5/x", std::span<std::string const>()),
              testing::ElementsAre(11u));
  EXPECT_EQ(index.candidates("/latest/meta-data/5/x", std::nullopt).size(), 1001u);
  EXPECT_THAT(index.candidates("/else", who), testing::IsEmpty());
}

}  // namespace
}  // namespace imdsgate
