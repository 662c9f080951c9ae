// The one thread beside the loop: for what blocks (iptables' programs, reading configuration files). One at a time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>
#include <utility>

namespace imdsgate {

using Worker = boost::asio::thread_pool;  // of one thread

// Runs `work` there and resumes the caller on the loop with what it returned. `work` owns what it uses, and has a name
// at the caller's: a lambda made within the co_await expression is destroyed twice (docs/development.md).
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work>> run_on(Worker &worker, Work work) {
  using Answer = std::invoke_result_t<Work>;
  auto there = [work = std::move(work)]() mutable -> boost::asio::awaitable<Answer> { co_return work(); };
  co_return co_await boost::asio::co_spawn(worker.get_executor(), std::move(there), boost::asio::use_awaitable);
}

}  // namespace imdsgate
