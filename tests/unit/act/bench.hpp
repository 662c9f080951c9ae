// The proxy's end of one client connection on a loop, and the test's end of it; the loop always stops in
// time.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "act/forward.hpp"
#include "act/request_reader.hpp"
#include "unit/act/peer.hpp"

namespace imdsgate {
inline void PrintTo(Reason reason, std::ostream *out) {
  *out << name(reason);
}
}  // namespace imdsgate

namespace imdsgate::test {

inline constexpr auto kLoopPatience = std::chrono::seconds(15);

// Both ends of a connected AF_UNIX pair: the first is blocking and the test's.
inline std::pair<Peer, StreamSocket> socket_pair(boost::asio::io_context &loop) {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  StreamSocket socket(loop);
  socket.assign(boost::asio::generic::stream_protocol(AF_UNIX, 0), fds[1]);
  return {Peer(fds[0]), std::move(socket)};
}

class Bench : public testing::Test {
 protected:
  // A new client.
  void reconnect() {
    auto pair = socket_pair(loop_);
    client_ = std::move(pair.first);
    served_.socket() = std::move(pair.second);
    served_.consume(served_.buffered().size());
  }

  // Runs until `body`, called once and on the loop, is through.
  template <class Body>
  void run(Body body) {
    bool done = false;
    loop_.restart();
    boost::asio::co_spawn(loop_, body, [&](std::exception_ptr failure) {
      done = true;
      loop_.stop();
      EXPECT_FALSE(failure);
    });
    loop_.run_for(kLoopPatience);
    EXPECT_TRUE(done) << "it hangs";
    // What is left would outlive the locals it refers to.
    if (!done) std::abort();
  }

  ForwardOptions options_to(Upstream const &upstream, bool may_share = false) const {
    return {upstream.endpoint(), std::chrono::seconds(5), std::chrono::seconds(5), may_share};
  }

  // Reads one request of the client and forwards it.
  ForwardResult exchange(ForwardOptions options) {
    std::optional<ForwardResult> result;
    auto const body = [&] { return read_and_forward(options, result); };
    run(body);
    return result.value_or(ForwardResult{});
  }
  ForwardResult ask(ForwardOptions const &options, std::string_view request) {
    client_.send(request);
    return exchange(options);
  }

  boost::asio::io_context loop_{1};
  std::pair<Peer, StreamSocket> pair_ = socket_pair(loop_);
  Peer client_ = std::move(pair_.first);
  Connection served_{std::move(pair_.second)};
  UpstreamPool pool_{loop_.get_executor(), {}};
  ClientAlive alive_ = [] { return true; };
  ReaderLimits limits_{16u << 10, 1u << 20};

 private:
  boost::asio::awaitable<void> read_and_forward(ForwardOptions options,
                                                std::optional<ForwardResult> &result) {
    RequestParser parser;
    auto const read = co_await read_request(served_, parser, limits_);
    EXPECT_TRUE(read) << read.error().detail;
    if (!read) co_return;
    result = co_await forward(served_, parser, pool_, options, alive_);
  }
};

inline constexpr std::string_view kGet = "GET /latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";

// A service that reads one request, answers and closes.
inline Upstream::Script answering(std::string answer) {
  return [answer = std::move(answer)](Upstream &upstream) {
    auto peer = upstream.accept();
    peer.read_header();
    peer.send(answer);
  };
}

}  // namespace imdsgate::test
