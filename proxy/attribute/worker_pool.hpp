// The gateway's end of the prober: workers to ask, one question outstanding each, so that one that hangs
// delays nobody else. Runs on the gateway's loop and never blocks it. Must outlive the loop's run.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "attribute/codec.hpp"
#include "attribute/keeper_link.hpp"
#include "attribute/prober.hpp"

namespace imdsgate {

using Deadline = std::chrono::steady_clock::time_point;

struct WorkerPoolOptions {
  std::size_t warm = 2;  // kept at least
  std::size_t limit = 8;
  std::size_t waiting = 512;  // questions; one more is attribution_busy
  std::function<Result<HelperProcess>()> start = spawn_prober;
};

struct WorkerPoolCounters {
  std::uint64_t workers_started = 0;
  std::uint64_t workers_replaced = 0;  // abandoned with a question unanswered, or died
  std::uint64_t probers_started = 0;
  std::uint64_t questions = 0;
  std::uint64_t refused_busy = 0;
};

class WorkerPool {
 public:
  WorkerPool(boost::asio::any_io_executor loop, WorkerPoolOptions options);
  ~WorkerPool();
  WorkerPool(WorkerPool const &) = delete;

  // Starts the prober unless it runs or was tried too lately.
  Result<void> start_prober();

  // The answer, or a Refusal by the deadline: attribution_timeout when no worker was free in time,
  // `unreadable` when one was asked and did not answer (it is abandoned and replaced), attribution_busy,
  // prober_unavailable. `attachment` goes with the question as SCM_RIGHTS.
  boost::asio::awaitable<Answer> ask(Question question, Deadline deadline, HeldFd attachment = HeldFd{});

  // Has the keeper fork a tracker (exec_tracker.hpp), with the descriptors of TrackerFds, which stay the
  // caller's. False: there is no prober. `made` is called once it is there (pid 0: it could not be), or never
  // when the prober ends before.
  bool request_tracker(std::span<int const> fds, std::function<void(NewWorker)> made);
  void kill_tracker(pid_t tracker);

  WorkerPoolCounters const &counters() const { return counters_; }
  // Ends the prober, for good: every question, also one that is out, is prober_unavailable.
  void close();

  std::vector<pid_t> worker_pids() const;  // those that may be asked
  pid_t prober_pid() const { return keeper_ ? keeper_->pid() : 0; }

  // Called when a worker was abandoned or died, and when the prober as a whole did.
  std::function<void(std::string const &)> on_replaced;

 private:
  struct Worker;
  struct Waiter;
  using WorkerPtr =
      std::shared_ptr<Worker>;  // shared with the question that is out: it may outlast the pool's hold

  boost::asio::awaitable<WorkerPtr> idle_worker(Deadline deadline);
  void release(WorkerPtr worker);
  void abandon(WorkerPtr const &worker, std::string const &why);
  void retire_cold();

  void prober_gone();
  void request_workers();
  void add(NewWorker worker);
  void tick();
  void tick_soon();

  boost::asio::any_io_executor loop_;
  WorkerPoolOptions options_;
  WorkerPoolCounters counters_;
  std::unique_ptr<KeeperLink> keeper_;  // nullptr: the prober is not running
  std::vector<WorkerPtr> workers_;      // all that may be asked
  std::vector<WorkerPtr> idle_;         // the last used at the back: its caches are warm
  std::list<Waiter *> waiting_;         // for a worker, the oldest first
  std::size_t requested_ = 0;           // workers the keeper has not answered for
  Deadline next_start_{};
  bool closed_ = false;
  boost::asio::steady_timer timer_;
  bool ticking_ = false;
  Bytes buffer_;
};

}  // namespace imdsgate
