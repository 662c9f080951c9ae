// What is told of an answer while it passes: a session token, a credential.
#include "act/answer_reader.hpp"

#include "act/forward.hpp"
#include "unit/act/bench.hpp"

namespace imdsgate {
namespace {

using namespace test;

using AnswerReaderTest = Bench;

// The token is told once it is whole, whatever the framing; what is none, or no good, is not told.
TEST_F(AnswerReaderTest, TellsOfASessionToken) {
  constexpr std::string_view put = "PUT /latest/api/token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
  std::string const ttl = "X-aws-ec2-metadata-token-TTL-seconds: 60\r\n";
  struct Case {
    std::string answer, told;
  } const cases[] = {
      {"HTTP/1.1 200 OK\r\n" + ttl + "Content-Length: 5\r\n\r\nAQ==x", "AQ==x 60"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + ttl + "\r\n2\r\nAQ\r\n3\r\n==x\r\n0\r\n\r\n",
       "AQ==x 60"},
      {"HTTP/1.0 200 OK\r\n" + ttl + "\r\nAQ==x", "AQ==x 60"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + ttl + "Content-Length: 5\r\n\r\nAQ==x",
       "AQ==x 60"},
      {"HTTP/1.1 200 OK\r\ncontent-encoding: Identity\r\n" + ttl + "Content-Length: 5\r\n\r\nAQ==x",
       "AQ==x 60"},
      {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + ttl + "Content-Length: 5\r\n\r\nAQ==x", ""},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAQ==x", ""},
      {"HTTP/1.1 403 Forbidden\r\n" + ttl + "Content-Length: 5\r\n\r\nAQ==x", ""},
      {"HTTP/1.1 200 OK\r\n" + ttl + "Content-Length: 0\r\n\r\n", ""},
      {"HTTP/1.1 200 OK\r\n" + ttl + "Content-Length: 9\r\n\r\nAQ==x", ""},
      {"HTTP/1.1 200 OK\r\n" + ttl + "Content-Length: 1025\r\n\r\n" + std::string(1025, 'x'), ""},
  };
  for (auto const &[answer, told] : cases) {
    std::string heard;
    AnswerReader reader = TokenReader([&](std::string_view token, std::chrono::seconds seconds) {
      heard += std::string(token) + ' ' + std::to_string(seconds.count());
    });
    Upstream upstream(answering(answer));
    auto options = options_to(upstream);
    options.reader = &reader;
    ask(options, put);
    EXPECT_EQ(heard, told) << answer;
    EXPECT_EQ(client_.what_is_there(), answer);
    reconnect();
  }
}

// Whatever its framing, and in however many pieces it comes; and it passes whether or not it can be read.
TEST_F(AnswerReaderTest, TellsWhichCredentialPassed) {
  std::string const body = R"({"AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t"})";
  std::string const half = body.substr(0, 20), rest = body.substr(20);
  auto const sized = [](std::string const &text) {
    return "Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
  };
  struct Case {
    std::string what;
    std::vector<std::string> answer;
    bool readable;
  } const cases[] = {
      {"at once", {"HTTP/1.1 200 OK\r\n" + sized(body)}, true},
      {"in two", {"HTTP/1.1 200 OK\r\nContent-Length: 57\r\n\r\n" + half, rest}, true},
      {"header first", {"HTTP/1.1 200 OK\r\nContent-Length: 57\r\n\r\n", half, rest}, true},
      {"chunked",
       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + half + "\r\n25\r\n" + rest,
        "\r\n0\r\n\r\n"},
       true},
      {"close-delimited", {"HTTP/1.0 200 OK\r\n\r\n" + half, rest}, true},
      {"packed as it is", {"HTTP/1.1 200 OK\r\ncontent-encoding: Identity\r\n" + sized(body)}, true},
      {"packed", {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + sized("\x1f\x8b no matter")}, false},
      {"no JSON", {"HTTP/1.1 200 OK\r\n" + sized("<Credentials/>")}, false},
      {"cut off", {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + body}, false},
  };
  ASSERT_EQ(body.size(), 57u);
  for (auto const &[what, answer, readable] : cases) {
    SCOPED_TRACE(what);
    AnswerReader reader(std::in_place_type<CredentialReader>);
    std::string whole;
    for (auto const &piece : answer) whole += piece;
    Upstream upstream([&answer = answer](Upstream &self) {
      auto peer = self.accept();
      peer.read_header();
      for (auto const &piece : answer) peer.send(piece);
    });
    auto options = options_to(upstream);
    options.reader = &reader;
    ask(options, kGet);
    EXPECT_EQ(client_.what_is_there(), whole);
    auto const found = std::get<CredentialReader>(reader).credential({}, {});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->unreadable, !readable);
    EXPECT_EQ(found->access_key_id.value_or(""), readable || what == "cut off" ? "ASIA1" : "");
    reconnect();
  }
}

}  // namespace
}  // namespace imdsgate
