#include "attribute/walk_queue.hpp"

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

namespace imdsgate {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

// Walks that end when the test says so.
class WalkQueueTest : public ::testing::Test {
 protected:
  struct Running {
    Walk question;
    asio::steady_timer finish;
  };

  asio::awaitable<Answer> ask(Walk question) {
    auto running = std::make_shared<Running>(
        Running{question, asio::steady_timer(io_, asio::steady_timer::time_point::max())});
    running_.push_back(running);
    co_await running->finish.async_wait(asio::as_tuple(asio::use_awaitable));
    Walked walked;
    for (auto const inode : question.inodes) {
      Holders holders;
      holders.pids = {static_cast<pid_t>(inode)};
      walked.by_inode.emplace_back(std::move(holders));
    }
    co_return walked;
  }

  void want(uid_t uid, std::uint64_t inode, std::chrono::milliseconds within = 10s) {
    SocketId socket;
    socket.uid = uid;
    socket.inode = inode;
    asio::co_spawn(
        io_, queue_.holders(socket, WalkQueue::Clock::now() + within),
        [this, inode](std::exception_ptr, WalkQueue::Outcome outcome) { outcomes_[inode] = outcome; });
    poll();
  }
  void finish(std::size_t walk) {
    running_[walk]->finish.cancel();
    poll();
  }
  void poll() {
    io_.restart();
    io_.poll();
  }
  std::vector<uid_t> started() const {
    std::vector<uid_t> uids;
    for (auto const &running : running_) uids.push_back(running->question.uid);
    return uids;
  }

  asio::io_context io_;
  std::vector<std::shared_ptr<Running>> running_;
  std::map<std::uint64_t, WalkQueue::Outcome> outcomes_;
  WalkQueue queue_{io_.get_executor(), [this](Walk walk, WalkQueue::Clock::time_point) { return ask(walk); }};
};

TEST_F(WalkQueueTest, OneWalkServesAllWhoWait) {
  for (std::uint64_t inode = 1; inode <= 5; ++inode) want(1000, inode);
  ASSERT_EQ(running_.size(), 1u);  // the first went at once, the others share the next
  finish(0);
  ASSERT_EQ(running_.size(), 2u);
  EXPECT_EQ(running_[1]->question.inodes, (std::vector<std::uint64_t>{2, 3, 4, 5}));
  finish(1);
  ASSERT_EQ(outcomes_.size(), 5u);
  for (auto const &[inode, outcome] : outcomes_) {
    EXPECT_EQ(std::get<Holders>(outcome).pids, std::vector<pid_t>{static_cast<pid_t>(inode)});
  }
}

TEST_F(WalkQueueTest, AUserWithManySocketsTakesOneTurnLikeAnyOther) {
  for (std::uint64_t inode = 1; inode <= 100; ++inode) want(1000, inode);
  want(1001, 201);
  want(1002, 202);
  EXPECT_EQ(started(), (std::vector<uid_t>{1000, 1001}));  // two at once
  finish(0);
  EXPECT_EQ(started(), (std::vector<uid_t>{1000, 1001, 1002}));  // before 1000's second
  finish(1);
  EXPECT_EQ(started(), (std::vector<uid_t>{1000, 1001, 1002, 1000}));
}

TEST_F(WalkQueueTest, TooManySocketsOfAUserAreRefused) {
  for (std::uint64_t inode = 1; inode <= kMaxWalkInodes + 2; ++inode) want(1000, inode);
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(std::get<Refusal>(outcomes_.begin()->second).reason, Reason::attribution_busy);
  EXPECT_EQ(outcomes_.begin()->first, kMaxWalkInodes + 2);
}

TEST_F(WalkQueueTest, WhoRunsOutOfTimeIsToldAndTheWalkGoesOn) {
  want(1000, 1, 30ms);
  want(1000, 2, 30ms);
  io_.restart();
  while (outcomes_.size() < 2) io_.run_one();
  EXPECT_EQ(std::get<Refusal>(outcomes_[1]).reason, Reason::walk_timeout);
  EXPECT_EQ(std::get<Refusal>(outcomes_[2]).reason, Reason::walk_timeout);
  want(1000, 3);
  finish(0);
  finish(1);
  EXPECT_TRUE(std::holds_alternative<Holders>(outcomes_[3]));
}

}  // namespace
}  // namespace imdsgate
