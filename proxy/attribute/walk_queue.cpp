#include "attribute/walk_queue.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace imdsgate {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
constexpr unsigned kAtOnce = 2;
constexpr auto kMargin = 20ms;  // the worker stops this long before its answer is due

}  // namespace

asio::awaitable<WalkQueue::Outcome> WalkQueue::holders(SocketId socket, Clock::time_point deadline) {
  auto &user = users_[socket.uid];
  if (user.pending.size() >= kMaxWalkInodes) {
    co_return Refusal{Reason::attribution_busy, "too many sockets of this user wait for a walk"};
  }
  Waiter waiter{socket.inode, deadline, asio::steady_timer(loop_, deadline), std::nullopt};
  user.pending.push_back(&waiter);
  if (!user.walking && user.pending.size() == 1) turn_.push_back(socket.uid);
  start_walks();
  if (!waiter.outcome) {
    co_await waiter.wake.async_wait(asio::as_tuple(asio::use_awaitable));  // the outcome says which it was
  }
  if (waiter.outcome) co_return std::move(*waiter.outcome);
  forget(socket.uid, &waiter);
  co_return Refusal{Reason::walk_timeout, "no walk over all processes ended in time"};
}

void WalkQueue::forget(uid_t uid, Waiter *waiter) {
  auto const user = users_.find(uid);
  if (user == users_.end()) return;
  std::erase(user->second.pending, waiter);
  std::replace(user->second.served.begin(), user->second.served.end(), waiter,
               static_cast<Waiter *>(nullptr));
}

void WalkQueue::start_walks() {
  while (running_ < kAtOnce && !turn_.empty()) {
    auto const uid = turn_.front();
    turn_.pop_front();
    auto const user = users_.find(uid);
    if (user == users_.end() || user->second.pending.empty()) {
      if (user != users_.end()) users_.erase(user);  // all of them gave up
      continue;
    }
    user->second.walking = true;
    user->second.served = std::exchange(user->second.pending, {});
    ++running_;
    ++walks_;
    asio::co_spawn(loop_, walk(uid), asio::detached);
  }
}

asio::awaitable<void> WalkQueue::walk(uid_t uid) {
  Walk question;
  question.uid = uid;
  auto until = Clock::time_point::min();
  for (auto const *waiter : users_[uid].served) {
    question.inodes.push_back(waiter ? waiter->inode : 0);
    if (waiter) until = std::max(until, waiter->deadline);
  }
  auto const budget = std::chrono::duration_cast<std::chrono::milliseconds>(until - kMargin - Clock::now());
  Answer answer = Refusal{Reason::walk_timeout, "no time was left for a walk"};
  if (until != Clock::time_point::min() && budget.count() > 0) {
    question.milliseconds = static_cast<std::uint32_t>(budget.count());
    answer = co_await ask_(question, until);
  }
  auto &user = users_[uid];
  auto const *walked = std::get_if<Walked>(&answer);
  auto const *refusal = std::get_if<Refusal>(&answer);
  for (std::size_t i = 0; i < user.served.size(); ++i) {
    auto *waiter = user.served[i];
    if (!waiter) continue;
    if (walked && i < walked->by_inode.size()) {
      waiter->outcome = walked->by_inode[i];
    } else {
      waiter->outcome =
          refusal ? *refusal : Refusal{Reason::unreadable, "the prober's answer is of another kind"};
    }
    waiter->wake.cancel();
  }
  user.served.clear();
  user.walking = false;
  --running_;
  if (user.pending.empty()) {
    users_.erase(uid);
  } else {
    turn_.push_back(uid);
  }
  start_walks();
}

}  // namespace imdsgate
