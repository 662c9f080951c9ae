#include "act/connection.hpp"

#include <boost/asio/ip/tcp.hpp>

#include "unit/act/bench.hpp"

namespace imdsgate {
namespace {

using namespace test;
using std::chrono::milliseconds;

using ConnectionTest = Bench;

TEST_F(ConnectionTest, IdleAndOpen) {
  EXPECT_TRUE(served_.idle_and_open());
  client_.send("x");
  EXPECT_FALSE(served_.idle_and_open());
  EXPECT_FALSE(served_.fill_now());
  EXPECT_EQ(served_.buffered(), "x");
  EXPECT_FALSE(served_.idle_and_open()) << "what was read and not used";
  served_.consume(1);
  EXPECT_TRUE(served_.idle_and_open());
  client_.half_close();
  EXPECT_FALSE(served_.idle_and_open());
  client_.close();
  EXPECT_FALSE(served_.idle_and_open());
  served_.reset();
  EXPECT_FALSE(served_.idle_and_open());
}

TEST_F(ConnectionTest, WasResetIsNotClosed) {
  EXPECT_FALSE(served_.was_reset()) << "AF_UNIX";
  namespace ip = boost::asio::ip;
  ip::tcp::acceptor acceptor(loop_, {ip::address_v4::loopback(), 0});
  auto const connected = [&](ip::tcp::socket &client) {
    client.connect(acceptor.local_endpoint());
    return Connection(StreamSocket(acceptor.accept()));
  };
  ip::tcp::socket closing(loop_), resetting(loop_);
  auto one = connected(closing), other = connected(resetting);
  EXPECT_FALSE(one.was_reset());
  closing.close();
  EXPECT_FALSE(one.was_reset());
  resetting.set_option(ip::tcp::socket::linger(true, 0));
  resetting.close();
  EXPECT_TRUE(other.was_reset());
}

TEST_F(ConnectionTest, FillNowSaysThatNothingIsThere) {
  EXPECT_EQ(served_.fill_now(), boost::asio::error::would_block);
  client_.close();
  EXPECT_EQ(served_.fill_now(), boost::asio::error::eof);
}

TEST_F(ConnectionTest, WhatIsBufferedSurvivesMoreAndLess) {
  std::string const all(10'000, 'a');
  std::string expected;
  client_.send("0123456789" + all);
  while (!served_.fill_now()) {
    if (expected.empty()) served_.consume(5), expected = "56789" + all;
  }
  EXPECT_EQ(served_.buffered(), expected);
  served_.consume(expected.size());
  EXPECT_EQ(served_.buffered(), "");
}

TEST_F(ConnectionTest, WritesMoreThanTheSocketTakes) {
  std::string const text(4u << 20, 'w');
  std::string received;
  std::jthread reader([&] { received = client_.read_exactly(text.size()); });
  auto const body = [&]() -> boost::asio::awaitable<void> {
    auto const code = co_await served_.write(text);
    EXPECT_FALSE(code);
  };
  run(body);
  reader.join();
  EXPECT_TRUE(received == text);
}

TEST_F(ConnectionTest, LingersUntilTheClientHasRead) {
  client_.send("what nobody reads");
  std::string received;
  std::jthread reader([&] {
    received = client_.read_to_end();
    client_.close();
  });
  auto const body = [&]() -> boost::asio::awaitable<void> {
    auto const code = co_await served_.write("the answer");
    EXPECT_FALSE(code);
    co_await close_lingering(served_);
  };
  run(body);
  reader.join();
  EXPECT_EQ(received, "the answer");
  EXPECT_FALSE(served_.socket().is_open());
}

TEST_F(ConnectionTest, LingeringHasABoundInBytes) {
  std::jthread flood([&] {
    std::string const block(65536, 'f');
    while (client_.send(block)) {
    }
  });
  auto const body = [&]() -> boost::asio::awaitable<void> { co_await close_lingering(served_); };
  run(body);
  EXPECT_FALSE(served_.socket().is_open());
}

TEST_F(ConnectionTest, ReadableWithinReturnsEitherWay) {
  auto const start = std::chrono::steady_clock::now();
  auto const nothing = [&]() -> boost::asio::awaitable<void> {
    co_await served_.readable_within(milliseconds(5));
  };
  run(nothing);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(5));
  client_.send("x");
  auto const something = [&]() -> boost::asio::awaitable<void> {
    co_await served_.readable_within(std::chrono::minutes(1));
  };
  run(something);
  EXPECT_FALSE(served_.fill_now());
  EXPECT_EQ(served_.buffered(), "x");
}

}  // namespace
}  // namespace imdsgate
