#include "act/reply.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace imdsgate {
namespace {

LocalReply denial() {
  LocalReply reply;
  reply.reason = "class_default";
  reply.alert = "11111111-2222-8333-8444-555555555555";
  reply.date =
      std::chrono::system_clock::time_point(std::chrono::seconds(784111777));  // RFC 9110's own example
  return reply;
}

std::string body(std::string const &message) {
  return message.substr(message.find("\r\n\r\n") + 4);
}

// design §7: the whole of a denial is API.
TEST(Reply, Denial) {
  EXPECT_EQ(
      to_http(denial()),
      "HTTP/1.1 403 Forbidden\r\n"
      "Server: imdsgate\r\n"
      "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
      "Content-Type: application/json\r\n"
      "Content-Length: 104\r\n"
      "Cache-Control: no-store\r\n"
      "Connection: close\r\n"
      "\r\n"
      R"({"error":"blocked by imdsgate","reason":"class_default","alert":"11111111-2222-8333-8444-555555555555"})"
      "\n");
}

TEST(Reply, HeadHasTheHeaderOfGetAndNoBody) {
  auto reply = denial();
  auto const get = to_http(reply);
  reply.head = true;
  EXPECT_EQ(to_http(reply), get.substr(0, get.size() - body(get).size()));
}

TEST(Reply, OnlyGceCarriesItsFlavor) {
  for (auto const provider : {Provider::ec2, Provider::gce, Provider::azure}) {
    auto reply = denial();
    reply.provider = provider;
    bool const flavor = to_http(reply).find("\r\nMetadata-Flavor: Google\r\n") != std::string::npos;
    EXPECT_EQ(flavor, provider == Provider::gce);
  }
}

TEST(Reply, EveryStatus) {
  struct Case {
    int status;
    std::string_view line, error;
  } const cases[] = {
      {400, "HTTP/1.1 400 Bad Request\r\n", "refused by imdsgate"},
      {429, "HTTP/1.1 429 Too Many Requests\r\n", "refused by imdsgate"},
      {403, "HTTP/1.1 403 Forbidden\r\n", "blocked by imdsgate"},
      {408, "HTTP/1.1 408 Request Timeout\r\n", "refused by imdsgate"},
      {413, "HTTP/1.1 413 Content Too Large\r\n", "refused by imdsgate"},
      {417, "HTTP/1.1 417 Expectation Failed\r\n", "refused by imdsgate"},
      {431, "HTTP/1.1 431 Request Header Fields Too Large\r\n", "refused by imdsgate"},
      {502, "HTTP/1.1 502 Bad Gateway\r\n", "the metadata service did not answer"},
      {503, "HTTP/1.1 503 Service Unavailable\r\n", "imdsgate is at its limit"},
      {504, "HTTP/1.1 504 Gateway Timeout\r\n", "the metadata service did not answer"},
  };
  for (auto const &[status, line, error] : cases) {
    LocalReply reply = denial();
    reply.status = status;
    reply.alert = {};
    auto const message = to_http(reply);
    EXPECT_TRUE(message.starts_with(line)) << message;
    EXPECT_NE(message.find("\r\nConnection: close\r\n"), std::string::npos);
    EXPECT_NE(message.find("\r\nContent-Length: " + std::to_string(body(message).size()) + "\r\n"),
              std::string::npos);
    EXPECT_EQ(message.find("Retry-After") != std::string::npos, status == 429 || status == 503);
    auto const object = boost::json::parse(body(message)).as_object();
    EXPECT_EQ(object.at("error").as_string(), error);
    EXPECT_FALSE(object.contains("alert"));
  }
}

TEST(Reply, ANameCannotBreakOut) {
  auto reply = denial();
  reply.reason = "x\"}\r\n\r\nHTTP/1.1 200 OK\r\n";
  auto const message = to_http(reply);
  EXPECT_EQ(message.find("\r\nHTTP/1.1 200"), std::string::npos);
  EXPECT_EQ(boost::json::parse(body(message)).at("reason").as_string(), reply.reason);
}

}  // namespace
}  // namespace imdsgate
