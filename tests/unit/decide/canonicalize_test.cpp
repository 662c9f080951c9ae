#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <random>

#include "unit/decide/requests.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

// A header block as a tolerant parser reads it.
RawRequest parsed(std::string const &block) {
  RawRequest raw;
  raw.header_bytes = block;
  std::istringstream lines(block);
  std::string line;
  std::getline(lines, line);
  while (!line.empty() && line.back() == '\r') line.pop_back();
  auto const first = line.find(' ');
  auto const last = line.rfind(" HTTP/");
  raw.method = line.substr(0, first);
  raw.target = line.substr(first + 1, last - first - 1);
  raw.version = (line.at(last + 6) - '0') * 10 + (line.at(last + 8) - '0');
  while (std::getline(lines, line)) {
    while (!line.empty() && line.back() == '\r') line.pop_back();
    auto const colon = line.find(':');
    if (colon != std::string::npos)
      raw.fields.push_back({line.substr(0, colon), trimmed(line.substr(colon + 1))});
  }
  return raw;
}

std::string outcome(boost::system::result<MetadataRequest, Meaningless> const &request) {
  if (!request) return std::string(name(request.error().reason));
  return (request->ambiguous ? "ambiguous " : "plain ") + std::string(to_string(request->path_class));
}

TEST(Canonicalize, GivesEachFramingTrapItsReason) {
  for (auto const &row : table("traps.txt")) {
    auto const request = canonicalize(policy_for(Provider::ec2), parsed(unescaped(row.given.at(0))));
    EXPECT_EQ(request ? "ok" : std::string(name(request.error().reason)), row.result) << row.text;
  }
}

TEST(Canonicalize, FindsTheTrapsWithoutTheRawBlockToo) {
  for (auto const &row : table("traps.txt")) {
    auto raw = parsed(unescaped(row.given.at(0)));
    raw.header_bytes.clear();
    auto const reason = row.result;
    if (reason == "bare_line_ending" || reason == "obsolete_folding" || reason == "ok") continue;
    EXPECT_FALSE(canonicalize(policy_for(Provider::ec2), raw)) << row.text;
  }
}

TEST(Canonicalize, ReadsHostileTargetsAsTheTableSays) {
  auto const rows = table("hostile_targets.txt");
  EXPECT_GE(rows.size(), 100u);
  for (auto const &row : rows) {
    auto const request =
        canonicalize(policy_for(*provider_named(row.given.at(0))), get(unescaped(row.given.at(1))));
    EXPECT_EQ(outcome(request), row.result) << row.text;
    if (!request) continue;
    EXPECT_EQ(request->target, unescaped(row.given.at(1))) << "it is sent as it came";
  }
}

// What unmodified clients were recorded to send has one meaning, all of it.
TEST(Canonicalize, TakesWhatRealClientsSend) {
  std::size_t requests = 0;
  for (auto const &entry : std::filesystem::directory_iterator(std::string(FIXTURES) + "/recordings")) {
    if (entry.path().extension() != ".jsonl") continue;
    std::ifstream stream(entry.path());
    for (std::string line; std::getline(stream, line); ++requests) {
      auto const record = boost::json::parse(line).as_object();
      std::string block = std::string(record.at("line").as_string()) + "\r\n";
      for (auto const &header : record.at("headers").as_array())
        block += std::string(header.as_string()) + "\r\n";
      for (auto const provider : {Provider::ec2, Provider::gce, Provider::azure}) {
        auto const request = canonicalize(policy_for(provider), parsed(block + "\r\n"));
        ASSERT_TRUE(request) << entry.path().filename() << ' ' << line << ' ' << request.error().detail;
        EXPECT_FALSE(request->ambiguous) << line;
      }
    }
  }
  EXPECT_GE(requests, 150u);
}

TEST(Canonicalize, KeepsTheRequestsParts) {
  auto const raw = raw_request("GET", "//latest//meta-data/?a=1&b=%32+x&a=&c&%61=%zz",
                               {{"Host", "h:80"}, {"User-Agent", "x/1"}});
  auto const request = canonicalize(policy_for(Provider::ec2), raw).value();
  EXPECT_EQ(request.path, "/latest/meta-data");
  EXPECT_EQ(request.host, "h:80");
  EXPECT_EQ(request.user_agent, "x/1");
  using Pair = std::pair<std::string, std::string>;
  EXPECT_THAT(request.query, testing::ElementsAre(Pair{"a", "1"}, Pair{"b", "2 x"}, Pair{"a", ""},
                                                  Pair{"c", ""}, Pair{"a", "%zz"}));
}

// A connection may be older than the policy: what it dialled is guarded no more, and no other service answers
// for it.
TEST(Canonicalize, RefusesWhatIsNotGuarded) {
  auto const &policy = policy_for(Provider::ec2);
  auto const &guarded = policy.endpoints.front();
  EXPECT_EQ(canonicalize(policy, get("/latest"), guarded)->endpoint, guarded);
  for (Endpoint const other :
       {Endpoint{guarded.address, 8080}, Endpoint{Address::from_v4({169, 254, 170, 2}), 80}})
    EXPECT_EQ(outcome(canonicalize(policy, get("/latest"), other)), "not_guarded") << other.to_string();
}

TEST(Canonicalize, DoesNotWorkThroughWhatIsTooLong) {
  auto const request = canonicalize(policy_for(Provider::ec2), get("/" + std::string(8000, ';')));
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->ambiguous);
  EXPECT_EQ(request->path_class, PathClass::credentials);
}

struct VersionCase {
  char const *method, *target;
  std::vector<Field> fields;
  std::optional<ImdsVersion> version;
  bool token_request;
};

TEST(Canonicalize, TellsVersionOneFromTwo) {
  Field const host{"Host", "x"}, token{"x-AWS-ec2-metadata-TOKEN", "AQ=="};
  auto const v1 = ImdsVersion::v1, v2 = ImdsVersion::v2;
  VersionCase const cases[] = {
      {"GET", "/latest/meta-data/", {host}, v1, false},
      {"GET", "/latest/meta-data/", {host, token}, v2, false},
      {"GET", "/latest/meta-data/", {host, {"X-aws-ec2-metadata-token", ""}}, v1, false},
      {"GET", "/latest/meta-data/", {host, token, {"X-aws-ec2-metadata-token", ""}}, v1, false},
      {"GET",
       "/latest/meta-data/",
       {host, token, {"Connection", "close, X-Aws-Ec2-Metadata-Token"}},
       v1,
       false},
      {"GET", "/latest/meta-data/", {host, {"X-aws-ec2-metadata-token-ttl-seconds", "60"}}, v1, false},
      {"PUT", "/latest/api/token", {host}, v2, true},
      {"PUT", "//latest/api/token/", {host}, v2, true},
      {"PUT", "/Latest/api/token", {host}, v1, false},
      {"PUT", "/latest/api/token2", {host}, v1, false},
      {"GET", "/latest/api/token", {host}, v1, false},
      {"put", "/latest/api/token", {host}, v1, false},
      {"PUT", "/latest/api%2ftoken", {host}, v1, false},
  };
  for (auto const &each : cases) {
    auto const request =
        canonicalize(policy_for(Provider::ec2), raw_request(each.method, each.target, each.fields));
    EXPECT_EQ(request->imds_version, each.version) << each.method << ' ' << each.target;
    EXPECT_EQ(request->token_request, each.token_request) << each.method << ' ' << each.target;
  }
  EXPECT_FALSE(canonicalize(policy_for(Provider::gce), get("/x"))->imds_version);
}

// Targets of every awkward piece in every order: a canonical path stays as it is, and its class never falls.
TEST(Canonicalize, IsIdempotent) {
  static constexpr char const *kPieces[] = {
      "/",   "//",       "latest", "meta-data", "user-data", "iam/security-credentials/",
      "x",   "%2f",      "%2e",    "..",        ".",         ";",
      "\\",  "?",        "&",      "=",         "recursive", "true",
      "%72", "%",        "%zz",    "\xff",      "@",         ":",
      "+",   "api/token"};
  std::mt19937 random(20260101);
  std::uniform_int_distribution<std::size_t> piece(0, std::size(kPieces) - 1), length(1, 12);
  for (int round = 0; round < 20000; ++round) {
    std::string target = "/";
    for (auto left = length(random); left > 0; --left) target += kPieces[piece(random)];
    for (auto const provider : {Provider::ec2, Provider::gce, Provider::azure}) {
      auto const once = canonicalize(policy_for(provider), get(target));
      if (!once) continue;
      auto const query = target.find('?');
      // What follows two slashes may be read as a host, so they are part of what is asked.
      auto const again_target = (target.starts_with("//") ? "/" : "") + once->path +
                                (query == std::string::npos ? "" : target.substr(query));
      auto const again = canonicalize(policy_for(provider), get(again_target));
      ASSERT_TRUE(again) << target;
      EXPECT_EQ(again->path, once->path) << target;
      EXPECT_EQ(again->query, once->query) << target;
      EXPECT_EQ(again->ambiguous, once->ambiguous) << target;
      EXPECT_EQ(again->path_class, once->path_class) << target;
    }
  }
}

}  // namespace
}  // namespace imdsgate
