// What comes back, in every framing and with every way to go wrong.
#include "act/forward.hpp"

#include <future>

#include "unit/act/bench.hpp"

namespace imdsgate {
namespace {

using namespace test;
using std::chrono::milliseconds;

constexpr std::string_view kHead = "HEAD /latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

using ForwardTest = Bench;

TEST_F(ForwardTest, PassesEveryFramingByteForByte) {
  struct Case {
    std::string_view what, request, answer;
    int status;
    std::uint64_t body;
  } const cases[] = {
      {"content-length", kGet, kOk, 200, 5},
      {"odd spelling", kGet, "HTTP/1.1 200 \r\ncOnTeNt-LENGTH:5\r\nX:  y \r\n\r\nhello", 200, 5},
      {"empty", kGet, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, 0},
      {"chunked", kGet,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n3\r\nyou\r\n0\r\nT: 1\r\n\r\n",
       200, 8},
      {"close-delimited", kGet, "HTTP/1.0 200 OK\r\n\r\nuntil it closes", 200, 15},
      {"close-delimited, empty", kGet, "HTTP/1.1 200 OK\r\n\r\n", 200, 0},
      {"head", kHead, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", 200, 0},
      {"204", kGet, "HTTP/1.1 204 No Content\r\n\r\n", 204, 0},
      {"304", kGet, "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304, 0},
      {"1xx first", kGet,
       "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 "
       "Created\r\nContent-Length: 2\r\n\r\nok",
       201, 2},
  };
  for (auto const &[what, request, answer, status, body] : cases) {
    SCOPED_TRACE(what);
    Upstream upstream(answering(std::string(answer)));
    auto const result = ask(options_to(upstream), request);
    EXPECT_FALSE(result.failure) << result.detail;
    EXPECT_EQ(result.status, status);
    EXPECT_TRUE(result.answered);
    EXPECT_TRUE(result.sent);
    EXPECT_EQ(result.response_body_bytes, body);
    EXPECT_EQ(client_.what_is_there(), answer);
    upstream.join();
    EXPECT_FALSE(upstream.somebody_waits()) << "a second connection";
  }
  EXPECT_EQ(pool_.open(), 0u);
}

TEST_F(ForwardTest, SaysWhetherTheClientMayAskAgain) {
  std::string_view const requests[] = {kGet, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                                       "GET / HTTP/1.0\r\n\r\n",
                                       "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"};
  bool const may[] = {true, false, false, true};
  for (std::size_t i = 0; i < std::size(requests); ++i) {
    Upstream upstream(answering(std::string(kOk)));
    EXPECT_EQ(ask(options_to(upstream), requests[i]).keep_alive, may[i]) << requests[i];
  }
  for (auto const answer : {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nx"}) {
    Upstream upstream(answering(answer));
    auto const result = ask(options_to(upstream), kGet);
    EXPECT_FALSE(result.keep_alive) << answer;
    EXPECT_FALSE(result.failure) << answer;
  }
}

TEST_F(ForwardTest, AnswerThatArrivesByteByByte) {
  std::string const answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    int const on = 1;
    ::setsockopt(peer.fd(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    for (char const &byte : answer) peer.send({&byte, 1});
  });
  auto const result = ask(options_to(upstream), kGet);
  EXPECT_FALSE(result.failure) << result.detail;
  EXPECT_EQ(client_.what_is_there(), answer);
}

TEST_F(ForwardTest, GarbageNeverReachesTheClient) {
  std::string const cases[] = {
      "SSH-2.0-OpenSSH_9.2\r\n",
      "HTTP/2.0 200 OK\r\n\r\n",
      "HTTP/1.1 abc OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'a'),
      "HTTP/1.1 200 OK\r\n" + std::string(100'000, 'b') + ": c\r\n\r\n",
  };
  for (auto const &answer : cases) {
    SCOPED_TRACE(answer.substr(0, 70));
    Upstream upstream([&](Upstream &self) {
      auto peer = self.accept();
      peer.read_header();
      peer.send(answer);   // may be refused half-way: the proxy closes as soon as it knows
      peer.read_to_end();  // and does close
    });
    auto const result = ask(options_to(upstream, true), kGet);
    EXPECT_EQ(result.failure, Reason::upstream_garbage);
    EXPECT_FALSE(result.answered);
    EXPECT_FALSE(result.keep_alive);
    EXPECT_EQ(client_.what_is_there(), "");
    EXPECT_EQ(pool_.open(), 0u);
  }
}

TEST_F(ForwardTest, WhatComesBehindTheAnswerIsNotPassedOn) {
  std::string answer(kOk);
  answer.append("HTTP/1.1 200 OK\r\n");
  Upstream upstream(answering(answer));
  auto const result = ask(options_to(upstream, true), kGet);
  EXPECT_FALSE(result.failure);
  EXPECT_FALSE(result.keep_alive);
  EXPECT_EQ(client_.what_is_there(), kOk);
  EXPECT_EQ(pool_.open(), 0u) << "a connection out of step was kept";
}

TEST_F(ForwardTest, AnAnswerCutShortIsAFailureOfAnAnswer) {
  for (std::string const answer : {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"}) {
    Upstream upstream([&](Upstream &self) {
      auto peer = self.accept();
      peer.read_header();
      peer.send(answer);
      client_.read_until("half");
      peer.reset();
    });
    auto const result = ask(options_to(upstream), kGet);
    EXPECT_EQ(result.failure, Reason::upstream_reset);
    EXPECT_TRUE(result.answered);
    EXPECT_EQ(result.status, 200);
    EXPECT_EQ(result.response_body_bytes, 4u);
    EXPECT_FALSE(result.keep_alive);
  }
}

TEST_F(ForwardTest, ClosedWithoutAnAnswerOrWithinItsHeader) {
  for (auto const answer : {"", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 100 Continue\r\n\r\n"}) {
    Upstream upstream(answering(answer));
    auto const result = ask(options_to(upstream), kGet);
    EXPECT_EQ(result.failure, Reason::upstream_reset) << answer;
    EXPECT_FALSE(result.answered) << answer;
    EXPECT_EQ(result.status, 0) << answer;
    client_.what_is_there();
  }
}

TEST_F(ForwardTest, NoAnswerWithinItsTime) {
  Upstream upstream([](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    peer.read_to_end();  // until the proxy gives up
  });
  auto options = options_to(upstream);
  options.response_timeout = milliseconds(30);
  auto const result = ask(options, kGet);
  EXPECT_EQ(result.failure, Reason::upstream_timeout);
  EXPECT_FALSE(result.answered);
}

TEST_F(ForwardTest, AnAnswerThatBeganHasTheIdleTimeout) {
  Upstream upstream([](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nha");
    peer.read_to_end();
  });
  auto options = options_to(upstream);
  options.idle_timeout = milliseconds(30);
  auto const result = ask(options, kGet);
  EXPECT_EQ(result.failure, Reason::upstream_timeout);
  EXPECT_TRUE(result.answered);
}

TEST_F(ForwardTest, ConnectRefused) {
  Endpoint nobody;
  {
    Upstream const gone;
    nobody = gone.endpoint();
  }
  auto const result = ask({nobody, milliseconds(5000), milliseconds(5000), false}, kGet);
  EXPECT_EQ(result.failure, Reason::upstream_refused);
  EXPECT_FALSE(result.sent);
  EXPECT_EQ(pool_.open(), 0u);
}

TEST_F(ForwardTest, AClientThatGoesClosesTheServicesEnd) {
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    client_.close();
    EXPECT_EQ(peer.read_to_end(), "");
  });
  auto const result = ask(options_to(upstream), kGet);
  EXPECT_EQ(result.failure, Reason::client_gone);
  EXPECT_FALSE(result.answered);
  EXPECT_EQ(pool_.open(), 0u);
}

TEST_F(ForwardTest, AHalfClosedClientGetsItsAnswerWhileSomebodyHoldsIt) {
  std::promise<void> asked;
  alive_ = [&, first = true]() mutable {
    if (std::exchange(first, false)) asked.set_value();
    return true;
  };
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    EXPECT_EQ(asked.get_future().wait_for(std::chrono::seconds(kPatienceSeconds)), std::future_status::ready);
    peer.send(kOk);
  });
  client_.send(kGet);
  client_.half_close();
  auto const result = exchange(options_to(upstream));
  EXPECT_FALSE(result.failure);
  EXPECT_EQ(client_.what_is_there(), kOk);
}

TEST_F(ForwardTest, AHalfClosedClientThatNobodyHoldsIsGone) {
  alive_ = [] { return false; };
  Upstream upstream([](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    EXPECT_EQ(peer.read_to_end(), "");
  });
  client_.send(kGet);
  client_.half_close();
  EXPECT_EQ(exchange(options_to(upstream)).failure, Reason::client_gone);
}

// Its place among the connections is not its to keep.
TEST_F(ForwardTest, AClientThatDoesNotReadItsAnswerIsLetGo) {
  Upstream upstream([](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n");
    while (peer.send(std::string(65536, 'x'))) {
    }
  });
  auto options = options_to(upstream);
  options.idle_timeout = milliseconds(100);
  auto const result = ask(options, kGet);
  EXPECT_TRUE(result.failure);
  EXPECT_TRUE(result.answered);
  EXPECT_EQ(pool_.open(), 0u);
}

std::size_t peak_memory_kib() {
  std::unique_ptr<FILE, int (*)(FILE *)> const file(std::fopen("/proc/self/status", "re"), &std::fclose);
  char line[256];
  std::size_t kib = 0;
  while (std::fgets(line, sizeof line, file.get()) != nullptr) {
    if (std::sscanf(line, "VmHWM: %zu", &kib) == 1) break;
  }
  return kib;
}

void forget_peak_memory() {
  std::unique_ptr<FILE, int (*)(FILE *)> const file(std::fopen("/proc/self/clear_refs", "we"), &std::fclose);
  ASSERT_TRUE(file);
  std::fputs("5", file.get());
}

TEST_F(ForwardTest, ALargeAnswerPassesWithoutBeingHeld) {
  constexpr std::size_t kSize = 20u << 20;
  Upstream upstream([](Upstream &self) {
    auto peer = self.accept();
    peer.read_header();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n");
    char block[251 * 64];
    for (std::size_t i = 0; i < sizeof block; ++i) block[i] = static_cast<char>(i % 251);
    for (std::size_t sent = 0; sent < kSize;) {
      auto const size = std::min(sizeof block, kSize - sent);
      if (!peer.send({block, size})) break;
      sent += size;
    }
  });
  client_.send(kGet);
  std::size_t received = 0, wrong = 0;
  forget_peak_memory();
  auto const before = peak_memory_kib();
  std::jthread reader([&] {
    client_.read_header();
    char block[32768];
    auto const rest = client_.read_too_far();
    while (received < kSize) {
      auto const got = ::recv(client_.fd(), block, sizeof block, 0);
      if (got <= 0) break;
      for (ssize_t i = 0; i < got; ++i, ++received)
        wrong += block[i] != static_cast<char>((rest.size() + received) % 251);
      if (rest.size() + received == kSize) break;
    }
    received += rest.size();
  });
  auto const result = exchange(options_to(upstream));
  reader.join();
  EXPECT_FALSE(result.failure) << result.detail;
  EXPECT_EQ(result.response_body_bytes, kSize);
  EXPECT_EQ(received, kSize);
  EXPECT_EQ(wrong, 0u);
  EXPECT_LT(peak_memory_kib() - before, kSize / 4 / 1024);
}

}  // namespace
}  // namespace imdsgate
