// Which connection to the service a request takes, and when it may be asked twice.
#include "act/upstream_pool.hpp"

#include <cstdio>
#include <future>
#include <memory>

#include "unit/act/bench.hpp"

namespace imdsgate {
namespace {

using namespace test;
using std::chrono::milliseconds;

constexpr std::string_view kGet = "GET /latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

class UpstreamPoolTest : public Bench {
 protected:
  void answer(Peer &peer) {
    EXPECT_EQ(peer.read_header(), kGet);
    peer.send(kOk);
  }
};

TEST_F(UpstreamPoolTest, TwoExchangesShareOneConnection) {
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    answer(peer);
    answer(peer);
    EXPECT_EQ(peer.read_to_end(), "");
  });
  for (int i = 0; i < 2; ++i) {
    auto const result = ask(options_to(upstream, true), kGet);
    EXPECT_FALSE(result.failure);
    EXPECT_EQ(client_.what_is_there(), kOk);
    EXPECT_EQ(pool_.open(), 1u);
  }
  pool_.close_idle();
  EXPECT_EQ(pool_.open(), 0u);
}

TEST_F(UpstreamPoolTest, AnUnsharedExchangeTakesNoneAndLeavesNone) {
  Upstream upstream([&](Upstream &self) {
    auto first = self.accept();
    answer(first);
    auto second = self.accept();
    answer(second);
    EXPECT_EQ(second.read_to_end(), "");
  });
  EXPECT_FALSE(ask(options_to(upstream, true), kGet).failure);
  EXPECT_FALSE(ask(options_to(upstream, false), kGet).failure);
  EXPECT_EQ(pool_.open(), 1u) << "the first one's";
  pool_.close_idle();
}

TEST_F(UpstreamPoolTest, AConnectionThatTheServiceClosedIsNotTaken) {
  Upstream upstream([&](Upstream &self) {
    {
      auto first = self.accept();
      answer(first);
    }
    client_.read_exactly(kOk.size());
    auto second = self.accept();
    answer(second);
  });
  EXPECT_FALSE(ask(options_to(upstream, true), kGet).failure);
  auto const result = ask(options_to(upstream, true), kGet);
  EXPECT_FALSE(result.failure) << result.detail;
  pool_.close_idle();
}

TEST_F(UpstreamPoolTest, AStaleConnectionIsReplacedOnce) {
  for (bool const by_reset : {false, true}) {
    Upstream upstream([&](Upstream &self) {
      auto first = self.accept();
      answer(first);
      EXPECT_EQ(first.read_header(), kGet);
      by_reset ? first.reset() : first.close();
      auto second = self.accept();
      answer(second);
    });
    EXPECT_FALSE(ask(options_to(upstream, true), kGet).failure);
    auto const result = ask(options_to(upstream, true), kGet);
    EXPECT_FALSE(result.failure) << result.detail;
    EXPECT_EQ(result.detail, "") << "of the attempt that was made good";
    EXPECT_EQ(client_.what_is_there(), std::string(kOk) + std::string(kOk));
    pool_.close_idle();
  }
}

TEST_F(UpstreamPoolTest, ASecondFailureIsFinal) {
  Upstream upstream([&](Upstream &self) {
    auto first = self.accept();
    answer(first);
    first.read_header();
    first.close();
    self.accept().read_header();
  });
  EXPECT_FALSE(ask(options_to(upstream, true), kGet).failure);
  EXPECT_EQ(ask(options_to(upstream, true), kGet).failure, Reason::upstream_reset);
  upstream.join();
  EXPECT_FALSE(upstream.somebody_waits());
}

TEST_F(UpstreamPoolTest, AFreshConnectionIsNotAskedTwice) {
  Upstream upstream([&](Upstream &self) { self.accept().read_header(); });
  EXPECT_EQ(ask(options_to(upstream, true), kGet).failure, Reason::upstream_reset);
  upstream.join();
  EXPECT_FALSE(upstream.somebody_waits());
}

TEST_F(UpstreamPoolTest, AStaleConnectionThatSpokeIsNotReplaced) {
  Upstream upstream([&](Upstream &self) {
    auto first = self.accept();
    answer(first);
    first.read_header();
    first.send("HT");
  });
  EXPECT_FALSE(ask(options_to(upstream, true), kGet).failure);
  EXPECT_EQ(ask(options_to(upstream, true), kGet).failure, Reason::upstream_reset);
  upstream.join();
  EXPECT_FALSE(upstream.somebody_waits());
}

TEST_F(UpstreamPoolTest, ARequestWithABodyIsNotRepeated) {
  Upstream upstream([&](Upstream &self) {
    auto first = self.accept();
    answer(first);
    first.read_until("hello");
  });
  EXPECT_FALSE(ask(options_to(upstream, true), kGet).failure);
  auto const result =
      ask(options_to(upstream, true), "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(result.failure, Reason::upstream_reset);
  upstream.join();
  EXPECT_FALSE(upstream.somebody_waits());
}

TEST_F(UpstreamPoolTest, OwnsItsPortsTowardsThatEndpointWhileTheyAreOpen) {
  Endpoint ours;
  Upstream upstream([&](Upstream &self) {
    auto peer = self.accept();
    ours = self.last_client();
    peer.read_header();
    auto const other = Endpoint{self.endpoint().address, static_cast<std::uint16_t>(self.endpoint().port ^ 1)};
    std::promise<std::pair<bool, bool>> owned;
    boost::asio::post(loop_, [&] { owned.set_value({pool_.owns(ours, self.endpoint()), pool_.owns(ours, other)}); });
    EXPECT_EQ(owned.get_future().get(), std::pair(true, false)) << "anybody may dial another from that port";
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  EXPECT_FALSE(ask(options_to(upstream), kGet).failure);
  EXPECT_FALSE(pool_.owns(ours, upstream.endpoint()));
}

// The local port of the connection to `remote` that is being made: SYN_SENT in /proc/net/tcp.
std::optional<Endpoint> being_connected(Endpoint const &remote) {
  std::unique_ptr<FILE, int (*)(FILE *)> const file(std::fopen("/proc/net/tcp", "re"), &std::fclose);
  char line[512];
  while (file && std::fgets(line, sizeof line, file.get()) != nullptr) {
    unsigned local_port = 0, remote_port = 0, state = 0;
    if (std::sscanf(line, " %*d: %*8x:%4x %*8x:%4x %2x", &local_port, &remote_port, &state) != 3) continue;
    if (remote_port == remote.port && state == 2)
      return Endpoint{remote.address, static_cast<std::uint16_t>(local_port)};
  }
  return std::nullopt;
}

TEST_F(UpstreamPoolTest, OwnsAPortBeforeItIsConnectedAndGivesUpInTime) {
  Upstream const full({}, 0);
  auto const connect = [&] {
    Peer peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    auto const length = to_sockaddr(full.endpoint(), address);
    ::connect(peer.fd(), reinterpret_cast<sockaddr *>(&address), length);
    return peer;
  };
  auto const occupant = connect();  // the whole backlog: what comes next is not answered
  pool_.set_options({0x1d5, milliseconds(100)});
  bool owned = false;
  boost::asio::post(loop_, [&] {
    boost::asio::post(loop_, [&] {
      auto const local = being_connected(full.endpoint());
      owned = local && pool_.owns(*local, full.endpoint());
    });
  });
  std::optional<Reason> failure;
  auto const body = [&]() -> boost::asio::awaitable<void> {
    auto const lease = co_await pool_.connect(full.endpoint());
    if (!lease) failure = lease.error().reason;
  };
  // Posted first, looked at second: the loop runs both in the order they came.
  run(body);
  EXPECT_EQ(failure, Reason::upstream_connect_timeout);
  EXPECT_TRUE(owned);
  EXPECT_EQ(pool_.open(), 0u);
}

}  // namespace
}  // namespace imdsgate
