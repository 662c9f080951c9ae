#include "attribute/exec_events.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

namespace imdsgate {
namespace {

namespace asio = boost::asio;
constexpr auto await = asio::as_tuple(asio::use_awaitable);
using Clock = std::chrono::steady_clock;

}  // namespace

Result<std::unique_ptr<ExecEvents>> ExecEvents::open(asio::any_io_executor loop, ExecQueue queue,
                                                     ExecEventsOptions options) {
  HeldFd doorbell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!doorbell) return Error{Errc::system, std::string("eventfd: ") + std::strerror(errno)};
  return std::unique_ptr<ExecEvents>(
      new ExecEvents(std::move(loop), std::move(queue), std::move(doorbell), std::move(options)));
}

ExecEvents::ExecEvents(asio::any_io_executor loop, ExecQueue queue, HeldFd doorbell,
                       ExecEventsOptions options)
    : loop_(loop),
      options_(std::move(options)),
      queue_(std::move(queue)),
      doorbell_(loop, doorbell.release()),
      timer_(loop),
      history_(options_.history),
      buffer_(kMaxDatagram) {}

void ExecEvents::start() {
  watch_doorbell();
  request();
}

void ExecEvents::close() {
  if (std::exchange(closed_, true)) return;
  timer_.cancel();
  replace("");
  boost::system::error_code ignored;  // closing cannot fail in a way that matters
  doorbell_.close(ignored);
}

void ExecEvents::request() {
  auto page = ExecPage::create();
  auto const generation = ++generation_;
  request_later();  // whatever becomes of this
  if (!page) return;
  page_.emplace(std::move(*page));
  (*page_)->busy.store(1);  // until the tracker says otherwise
  received_ = 0;
  std::vector<int> fds{page_->fd(), doorbell_.native_handle()};
  fds.insert(fds.end(), queue_.fds.begin(), queue_.fds.end());
  std::weak_ptr<bool> const alive = alive_;
  auto const made = [this, alive, generation](NewWorker tracker) {
    if (alive.expired() || generation != generation_ || closed_ || tracker.pid == 0) return;
    add(std::move(tracker));
  };
  (void)options_.request(fds, made);  // the timer asks again
}

// Unless a tracker is there by then.
void ExecEvents::request_later() {
  timer_.expires_after(options_.restart_pause);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec && !closed_ && !records_) request();
  });
}

void ExecEvents::add(NewWorker tracker) {
  ++counters_.trackers_started;
  records_ = std::move(tracker.socket);
  tracker_pid_ = tracker.pid;
  pidfd_.emplace(loop_, tracker.pidfd.release());
  watch_end();
}

void ExecEvents::watch_end() {
  std::weak_ptr<bool> const alive = alive_;
  auto const generation = generation_;
  pidfd_->async_wait(asio::posix::stream_descriptor::wait_read,
                     [this, alive, generation](boost::system::error_code ec) {
                       if (ec || alive.expired() || generation != generation_) return;
                       take_records();  // what it told before it ended counts
                       if (generation == generation_ && records_) replace("it ended");
                     });
}

void ExecEvents::replace(std::string const &why) {
  if (records_ && options_.kill) options_.kill(tracker_pid_);
  auto const pid = std::exchange(tracker_pid_, 0);
  bool const was_there = static_cast<bool>(records_);
  ++generation_;
  records_.reset();
  pidfd_.reset();
  ready_ = false;
  unanswered_since_.reset();
  release_waiters();
  if (closed_ || !was_there) return;
  request_later();
  if (on_replaced) on_replaced("the exec tracker " + std::to_string(pid) + " is replaced: " + why);
}

void ExecEvents::release_waiters() {
  for (auto *waiter : waiters_) waiter->wake.cancel();
}

void ExecEvents::watch_doorbell() {
  doorbell_.async_wait(asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code ec) {
    if (ec) return;
    std::uint64_t rung = 0;
    (void)!::read(doorbell_.native_handle(), &rung, sizeof rung);  // that it rang is known
    take_records();
    watch_doorbell();
  });
}

// Nothing waits in the kernel, and the tracker is not busy with what it took from there: all there is to tell
// has been sent. In this order: busy is set before the queue gets shorter.
bool ExecEvents::at_rest() {
  bool const empty = queue_.empty();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return empty && (*page_)->busy.load() == 0;
}

asio::awaitable<bool> ExecEvents::drained(Deadline deadline) {
  auto const now = Clock::now();
  if (ready_ && at_rest()) {
    take_records();
    if (ready_) {
      certain_until_ = std::max(certain_until_, now);
      ++counters_.drained_at_once;
      co_return true;
    }
  }
  if (unanswered_since_ && now - *unanswered_since_ > options_.stuck_after) replace("it does not answer");
  if (!ready_) {
    ++counters_.drained_late;
    co_return false;
  }
  Waiter waiter{asio::steady_timer(loop_, deadline), ++barrier_};
  BarrierRequest const request{waiter.number};
  bool const sent =
      ::send(records_.get(), &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof request;
  if (sent) {
    if (!unanswered_since_) unanswered_since_ = now;
    auto const place = waiters_.insert(waiters_.end(), &waiter);
    co_await waiter.wake.async_wait(await);  // expired or cancelled, what counts is whether it passed
    waiters_.erase(place);
  }
  if (waiter.passed) {
    certain_until_ = std::max(certain_until_, now);
    ++counters_.drained_by_message;
  } else {
    ++counters_.drained_late;
  }
  co_return waiter.passed;
}

void ExecEvents::take_records() {
  if (!records_) return;
  history_.expire(Clock::now());
  while (records_ && received_ != (*page_)->sent.load()) {
    auto const size = ::recv(records_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return replace("it ended");
    (*page_)->received.store(++received_);
    auto const length = static_cast<std::size_t>(size);
    if (length > buffer_.size() || !take_datagram({buffer_.data(), length})) {
      return replace("a record of it has no meaning");
    }
  }
}

bool ExecEvents::take_datagram(std::span<std::uint8_t const> datagram) {
  RecordReader records(datagram);
  while (!records.done()) {
    auto record = records.next();
    if (!record) return false;
    take(std::move(*record));
  }
  return true;
}

void ExecEvents::take(TrackerRecord record) {
  if (auto *exec = std::get_if<ExecRecord>(&record)) {
    // What a new tracker tells before it is ready was queued while there was none.
    if (ready_ && !exec->found_later) certain_until_ = std::max(certain_until_, exec->time);
    auto const shared = std::make_shared<ExecRecord const>(std::move(*exec));
    history_.add(shared);
    if (on_exec) on_exec(*shared);
  } else if (auto const *exit = std::get_if<ExitRecord>(&record)) {
    history_.ended(*exit);
  } else if (auto const *lost = std::get_if<LostRecord>(&record)) {
    tell_lost(*lost);
  } else if (auto const *ready = std::get_if<ReadyRecord>(&record)) {
    ready_ = true;
    if (since_) {
      tell_lost({certain_until_, ready->time, 0});  // while there was no tracker
    } else {
      since_ = ready->time;
    }
    certain_until_ = std::max(certain_until_, ready->time);
    if (on_ready) on_ready(*ready);
  } else if (auto const *barrier = std::get_if<BarrierRecord>(&record)) {
    take(*barrier);
  }
}

void ExecEvents::take(BarrierRecord const &barrier) {
  if (barrier.number == barrier_) unanswered_since_.reset();
  for (auto *waiter : waiters_) {
    if (waiter->number != barrier.number) continue;
    waiter->passed = true;
    waiter->wake.cancel();
  }
}

void ExecEvents::tell_lost(LostRecord const &lost) {
  ++counters_.losses;
  counters_.events_lost += lost.events;
  history_.lost(lost.from, lost.to);
  if (on_lost) on_lost(lost);
}

}  // namespace imdsgate
