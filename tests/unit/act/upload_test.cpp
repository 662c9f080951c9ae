// Requests with a body: what goes up, and what may come back before all of it did.
#include "act/forward.hpp"

#include "unit/act/bench.hpp"

namespace imdsgate {
namespace {

using namespace test;
using std::chrono::milliseconds;

using UploadTest = Bench;

std::string put(std::string const &fields, std::string const &body = {}) {
  return "PUT /x HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + body;
}

TEST_F(UploadTest, ContentLengthGoesUpAsItCame) {
  std::string const request = put("Content-Length: 5\r\n", "hello");
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    EXPECT_EQ(peer.read_exactly(request.size()), request);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  auto const result = ask(options_to(upstream), request);
  EXPECT_FALSE(result.failure) << result.detail;
  EXPECT_EQ(result.request_body_bytes, 5u);
  EXPECT_TRUE(result.keep_alive);
}

TEST_F(UploadTest, TheNextRequestStaysBehindTheBody) {
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_until("hello");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(peer.read_to_end(), "");
  });
  EXPECT_FALSE(
      ask(options_to(upstream), put("Content-Length: 5\r\n", "helloGET /smuggled HTTP/1.1\r\n")).failure);
  EXPECT_EQ(served_.buffered(), "GET /smuggled HTTP/1.1\r\n");
}

TEST_F(UploadTest, ChunksAreRewrittenWithoutExtensionsAndTrailers) {
  Upstream upstream([](Upstream &self) {
    auto peer = self.accept();
    auto const header = peer.read_header();
    EXPECT_NE(header.find("\r\ntransfer-encoding: chunked\r\n"), std::string::npos) << header;
    std::string body;
    for (;;) {
      auto const line = peer.read_until("\r\n");
      auto const size = std::stoul(line, nullptr, 16);
      EXPECT_EQ(line.find(';'), std::string::npos);
      auto const chunk = peer.read_exactly(size + 2);
      if (size == 0) {
        EXPECT_EQ(chunk, "\r\n") << "a trailer went up";
        break;
      }
      body += chunk.substr(0, size);
    }
    EXPECT_EQ(body, "hello world");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  auto const result =
      ask(options_to(upstream), put("transfer-encoding: chunked\r\n",
                                    "5;name=value\r\nhello\r\n06\r\n world\r\n0\r\nTrailer: t\r\n\r\n"));
  EXPECT_FALSE(result.failure) << result.detail;
  EXPECT_EQ(result.request_body_bytes, 11u);
  EXPECT_TRUE(result.keep_alive);
}

TEST_F(UploadTest, ChunkedByteByByte) {
  std::string const body = "5\r\nhello\r\n0\r\n\r\n";
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    for (std::size_t i = 0; i < body.size(); ++i) client_.send({&body[i], 1});
    peer.read_until("0\r\n\r\n");
    peer.send("HTTP/1.1 204 No Content\r\n\r\n");
  });
  auto const result = ask(options_to(upstream), put("Transfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(result.failure) << result.detail;
  EXPECT_EQ(result.request_body_bytes, 5u);
}

TEST_F(UploadTest, ExpectIsAnsweredByTheService) {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    EXPECT_NE(peer.read_header().find("\r\nExpect: 100-continue\r\n"), std::string::npos);
    peer.send(kContinue);
    EXPECT_EQ(client_.read_exactly(kContinue.size()), kContinue);
    client_.send("4\r\nbody\r\n0\r\n\r\n");
    EXPECT_EQ(peer.read_until("0\r\n\r\n"), "4\r\nbody\r\n0\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  auto const result =
      ask(options_to(upstream), put("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(result.failure) << result.detail;
  EXPECT_EQ(result.status, 200);
  EXPECT_TRUE(result.keep_alive);
}

TEST_F(UploadTest, ARefusedExpectationEndsTheExchange) {
  constexpr std::string_view kRefused = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n";
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    peer.send(kRefused);
    EXPECT_EQ(peer.read_to_end(), "") << "a body went up after all";
  });
  auto const result =
      ask(options_to(upstream), put("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(result.failure) << result.detail;
  EXPECT_EQ(result.status, 417);
  EXPECT_FALSE(result.keep_alive) << "what follows would be read as a request, and may be the body";
  EXPECT_EQ(client_.what_is_there(), kRefused);
}

TEST_F(UploadTest, AnAnswerBeforeTheBodyIsThroughEndsTheUpload) {
  constexpr std::string_view kNo = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_until("some");
    peer.send(kNo);
    peer.read_to_end();
  });
  auto const result = ask(options_to(upstream), put("Content-Length: 500000\r\n", "some"));
  EXPECT_FALSE(result.failure) << result.detail;
  EXPECT_EQ(result.status, 403);
  EXPECT_EQ(result.request_body_bytes, 4u);
  EXPECT_FALSE(result.keep_alive);
  EXPECT_EQ(client_.what_is_there(), kNo);
}

TEST_F(UploadTest, AnAnswerWithinAChunkSizeIsNoFailure) {
  constexpr std::string_view kNo = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_until("some\r\n");
    peer.send(kNo);
    peer.read_to_end();
  });
  auto const result = ask(options_to(upstream), put("Transfer-Encoding: chunked\r\n", "4\r\nsome\r\n1"));
  EXPECT_FALSE(result.failure) << name(*result.failure) << ' ' << result.detail;
  EXPECT_EQ(result.status, 403);
  EXPECT_EQ(client_.what_is_there(), kNo);
}

TEST_F(UploadTest, ABodyThatStopsIsTheClientsFault) {
  for (std::string const &request :
       {put("Content-Length: 10\r\n", "half"), put("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n"),
        put("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n1")}) {
    reconnect();
    Upstream upstream([](Upstream &self) {
      auto peer = self.accept();
      peer.read_to_end();
    });
    auto options = options_to(upstream);
    options.response_timeout = milliseconds(50);
    auto const result = ask(options, request);
    EXPECT_EQ(result.failure, Reason::body_timeout) << request;
    EXPECT_FALSE(result.answered);
  }
}

TEST_F(UploadTest, AClientThatGoesWithinItsBody) {
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_until("half");
    client_.close();
    peer.read_to_end();
  });
  EXPECT_EQ(ask(options_to(upstream), put("Content-Length: 10\r\n", "half")).failure, Reason::client_gone);
  EXPECT_EQ(pool_.open(), 0u);
}

TEST_F(UploadTest, ABodyOverTheLimit) {
  limits_.body_bytes = 10;
  Upstream upstream([](Upstream &self) {
    auto peer = self.accept();
    EXPECT_EQ(peer.read_to_end().find("0\r\n\r\n"), std::string::npos)
        << "the body was ended as if it were whole";
  });
  auto const result = ask(options_to(upstream), put("Transfer-Encoding: chunked\r\n",
                                                    "8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n"));
  EXPECT_EQ(result.failure, Reason::limit_body_bytes);
  EXPECT_FALSE(result.answered);
  EXPECT_LE(result.request_body_bytes, 10u);
}

TEST_F(UploadTest, BrokenChunks) {
  for (auto const body : {"zz\r\nhello", "5\r\nhelloXYZ\r\n", "ffffffffffffffffff\r\n"}) {
    reconnect();
    Upstream upstream([](Upstream &self) {
      auto peer = self.accept();
      EXPECT_EQ(peer.read_to_end().find("0\r\n\r\n"), std::string::npos);
    });
    auto const result = ask(options_to(upstream), put("Transfer-Encoding: chunked\r\n", body));
    EXPECT_EQ(result.failure, Reason::malformed_request) << body;
    EXPECT_FALSE(result.answered);
  }
}

}  // namespace
}  // namespace imdsgate
