// What was decided on is what is sent: every request of the corpora is parsed as the gateway does, decided
// on, written anew for the service, and read once more. Both readings are one.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <set>

#include "act/framing.hpp"
#include "act/http_message.hpp"
#include "unit/decide/requests.hpp"
#include "unit/decide/table.hpp"

namespace imdsgate {
namespace {

std::optional<RawRequest> parsed(std::string const &block) {
  RequestParser parser;
  boost::system::error_code code;
  parser.put(boost::asio::buffer(block), code);
  if (code && code != http::error::need_more) return std::nullopt;
  if (!parser.is_header_done()) return std::nullopt;
  parser.raw().header_bytes = block.substr(0, block.find("\r\n\r\n") + 4);
  return parser.raw();
}

bool left_out(std::string_view name) {
  return name == "Upgrade" || name == "HTTP2-Settings";
}

// "Name: value" of each line, as a reader that knows nothing of Beast parts them.
std::vector<std::string> lines_of(std::string_view header) {
  std::vector<std::string> lines;
  while (!header.empty()) {
    auto const end = header.find("\r\n");
    lines.emplace_back(header.substr(0, end));
    header.remove_prefix(end + 2);
  }
  return lines;
}

struct Corpus {
  std::size_t decided = 0, refused = 0;

  void take(Provider provider, std::string const &block) {
    auto const raw = parsed(block);
    auto const &policy = policy_for(provider);
    auto const meant = raw ? canonicalize(policy, *raw, policy.endpoints.front())
                           : Meaningless{Reason::malformed_request, {}};
    if (!meant) {
      ++refused;
      return;
    }
    ++decided;
    auto const sent = render_request_header(*raw);
    auto const lines = lines_of(sent);
    auto const version = raw->version == 10 ? " HTTP/1.0" : " HTTP/1.1";
    EXPECT_EQ(lines.front(), meant->method + ' ' + meant->target + version);
    EXPECT_EQ(lines.back(), "") << block;
    auto const about_host = [](std::string const &line) {
      return line.size() > 4 && equal_host(line.substr(0, 5));
    };
    auto const hosts = std::ranges::count_if(lines, about_host);
    EXPECT_EQ(hosts, raw->field("host") ? 1 : 0) << block;
    EXPECT_TRUE(hosts == 0 || std::ranges::find_if(lines, about_host)->substr(6) == meant->host) << block;

    auto const again = parsed(sent);
    ASSERT_TRUE(again) << block;
    auto const read = canonicalize(policy, *again, policy.endpoints.front());
    ASSERT_TRUE(read) << block;
    EXPECT_EQ(read->method, meant->method);
    EXPECT_EQ(read->target, meant->target);
    EXPECT_EQ(read->path, meant->path);
    EXPECT_EQ(read->query, meant->query);
    EXPECT_EQ(read->host, meant->host);
    EXPECT_EQ(read->known_host, meant->known_host);
    EXPECT_EQ(read->path_class, meant->path_class);
    EXPECT_EQ(read->imds_version, meant->imds_version);
    EXPECT_EQ(read->ambiguous, meant->ambiguous);
    EXPECT_EQ(read->token_request, meant->token_request);
    EXPECT_EQ(read->user_agent, meant->user_agent);
    std::size_t kept = 0;
    for (auto const &field : raw->fields) kept += left_out(field.name) ? 0 : 1;
    EXPECT_EQ(again->fields.size(), kept) << block;
  }

  static bool equal_host(std::string name) {
    for (auto &c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return name == "host:";
  }
};

TEST(WhatWasDecidedOn, IsSentForEveryHostileTarget) {
  Corpus corpus;
  for (auto const &row : table("hostile_targets.txt")) {
    corpus.take(
        *provider_named(row.given.at(0)),
        "GET " + unescaped(row.given.at(1)) + " HTTP/1.1\r\nHost: 169.254.169.254\r\nUpgrade: h2c\r\n\r\n");
  }
  EXPECT_GE(corpus.decided, 60u);
  EXPECT_GE(corpus.refused, 20u);
}

TEST(WhatWasDecidedOn, IsSentForEveryHeaderBlock) {
  Corpus corpus;
  for (auto const &row : table("traps.txt")) corpus.take(Provider::ec2, unescaped(row.given.at(0)));
  for (auto const &row : table("hosts.txt")) {
    auto const host = row.given.at(2) == "-" ? "" : "Host: " + unescaped(row.given.at(2)) + "\r\n";
    corpus.take(
        *provider_named(row.given.at(0)),
        "GET /latest/user-data HTTP/1." + std::string(host.empty() ? "0" : "1") + "\r\n" + host + "\r\n");
  }
  EXPECT_GE(corpus.decided, 60u);
}

TEST(WhatWasDecidedOn, IsSentForEveryRecordedRequest) {
  Corpus corpus;
  std::filesystem::path const recordings = std::filesystem::path(FIXTURES) / "recordings";
  for (auto const &file : std::filesystem::directory_iterator(recordings)) {
    if (file.path().extension() != ".jsonl") continue;
    std::ifstream stream(file.path());
    for (std::string line; std::getline(stream, line);) {
      auto const record = boost::json::parse(line).as_object();
      std::string block = std::string(record.at("line").as_string()) + "\r\n";
      for (auto const &header : record.at("headers").as_array())
        block += std::string(header.as_string()) + "\r\n";
      for (auto const provider : {Provider::ec2, Provider::gce, Provider::azure})
        corpus.take(provider, block + "\r\n");
    }
  }
  EXPECT_EQ(corpus.refused, 0u);
  EXPECT_GE(corpus.decided, 450u);
}

}  // namespace
}  // namespace imdsgate
