// Walks over all processes, shared and rationed: one walk serves every socket of a user that waits, at most
// two run at once, and users take turns, so that nobody can queue walks for others.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "attribute/codec.hpp"

namespace imdsgate {

class WalkQueue {
 public:
  using Clock = std::chrono::steady_clock;
  using Outcome = std::variant<Holders, Refusal>;
  // Asks a worker; answers with Walked or a Refusal by the time given.
  using Ask = std::function<boost::asio::awaitable<Answer>(Walk, Clock::time_point)>;

  WalkQueue(boost::asio::any_io_executor loop, Ask ask) : loop_(std::move(loop)), ask_(std::move(ask)) {}

  // By the deadline, walk_timeout at the latest; attribution_busy when too many sockets of the user wait.
  boost::asio::awaitable<Outcome> holders(SocketId socket, Clock::time_point deadline);

  std::uint64_t walks() const { return walks_; }  // started so far

 private:
  struct Waiter {
    std::uint64_t inode;
    Clock::time_point deadline;
    boost::asio::steady_timer wake;
    std::optional<Outcome> outcome;
  };
  struct User {
    bool walking = false;
    std::vector<Waiter *> served;   // by the walk that runs; nullptr: gave up
    std::vector<Waiter *> pending;  // for the next one
  };

  void start_walks();
  boost::asio::awaitable<void> walk(uid_t uid);
  void forget(uid_t uid, Waiter *waiter);

  boost::asio::any_io_executor loop_;
  Ask ask_;
  std::map<uid_t, User> users_;  // those with a walk running or pending: bounded by the open connections
  std::deque<uid_t> turn_;       // users whose next walk may start, in order
  unsigned running_ = 0;
  std::uint64_t walks_ = 0;
};

}  // namespace imdsgate
