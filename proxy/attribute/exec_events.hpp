// The gateway's end of the tracker (exec_tracker.hpp): has the prober's keeper start it and start it anew,
// takes its records, keeps the history. On the gateway's loop, never blocking it; must outlive the loop's
// run.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "attribute/codec_exec.hpp"
#include "attribute/exec_history.hpp"
#include "attribute/exec_page.hpp"
#include "attribute/exec_queue.hpp"
#include "attribute/keeper_link.hpp"

namespace imdsgate {

using Deadline = std::chrono::steady_clock::time_point;

struct ExecEventsOptions {
  // ProberClient::request_tracker and kill_tracker.
  std::function<bool(std::span<int const>, std::function<void(NewWorker)>)> request{};
  std::function<void(pid_t)> kill{};
  ExecHistoryOptions history{};
  std::chrono::milliseconds restart_pause{1000};  // between attempts to have a tracker
  std::chrono::milliseconds stuck_after{2000};  // a tracker that answers no barrier for this long is replaced
};

struct ExecEventsCounters {
  std::uint64_t trackers_started = 0;
  std::uint64_t events_lost = 0;      // as far as they were counted
  std::uint64_t losses = 0;           // spans
  std::uint64_t drained_at_once = 0;  // barriers that needed no message
  std::uint64_t drained_by_message = 0;
  std::uint64_t drained_late = 0;  // not by the deadline, or without a tracker: unknown
};

class ExecEvents {
 public:
  static Result<std::unique_ptr<ExecEvents>> open(boost::asio::any_io_executor loop, ExecQueue queue,
                                                  ExecEventsOptions options);
  ExecEvents(ExecEvents const &) = delete;

  // Asks for the tracker; the prober must be there or start.
  void start();
  // No more trackers, before the loop ends. Barriers that are out are false.
  void close();

  // After true, every exec that happened before the call has been given to on_exec (and is in the history),
  // and every loss to on_lost. False: that cannot be said, because the deadline passed or no tracker is
  // ready. Usually one system call at most, and no suspension.
  boost::asio::awaitable<bool> drained(Deadline deadline);

  // In the order of the events. Also called within drained(); may not call back into this object.
  std::function<void(ExecRecord const &)> on_exec;
  std::function<void(LostRecord const &)> on_lost;
  // For events: the tracker was replaced, and why.
  std::function<void(std::string const &)> on_replaced;
  std::function<void(ReadyRecord const &)> on_ready;

  ExecHistory &history() { return history_; }
  bool ready() const { return ready_; }  // a tracker is there and has read /proc
  // Since when every exec is seen, but for losses. nullopt: not yet.
  std::optional<MonotonicTime> since() const { return since_; }
  pid_t tracker_pid() const { return tracker_pid_; }
  ExecEventsCounters const &counters() const { return counters_; }

 private:
  struct Waiter {
    boost::asio::steady_timer wake;
    std::uint32_t number;
    bool passed = false;
  };
  ExecEvents(boost::asio::any_io_executor loop, ExecQueue queue, HeldFd doorbell, ExecEventsOptions options);

  void request();
  void request_later();
  void add(NewWorker tracker);
  void replace(std::string const &why);
  void watch_doorbell();
  void watch_end();
  bool at_rest();
  void take_records();
  bool take_datagram(std::span<std::uint8_t const> datagram);
  void take(TrackerRecord record);
  void take(BarrierRecord const &barrier);
  void tell_lost(LostRecord const &lost);
  void release_waiters();

  boost::asio::any_io_executor loop_;
  ExecEventsOptions options_;
  ExecQueue queue_;
  boost::asio::posix::stream_descriptor doorbell_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for calls that may come after our end

  std::optional<ExecPage> page_;  // of the current tracker; another's has another
  HeldFd records_;                // not registered with the loop: it would wake it for each record
  std::optional<boost::asio::posix::stream_descriptor> pidfd_;
  pid_t tracker_pid_ = 0;
  bool ready_ = false, closed_ = false;
  std::uint64_t received_ = 0;
  std::uint64_t generation_ = 0;  // of requests; an answer to an earlier one is let go
  std::uint32_t barrier_ = 0;
  std::list<Waiter *> waiters_;
  std::optional<MonotonicTime> unanswered_since_;

  std::optional<MonotonicTime> since_;
  MonotonicTime certain_until_{};  // all that happened before has been told
  ExecHistory history_;
  ExecEventsCounters counters_;
  Bytes buffer_;
};

}  // namespace imdsgate
