#include "attribute/exec_tracker.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "attribute/cgroup_tree.hpp"
#include "attribute/describe.hpp"
#include "attribute/exec_ring.hpp"
#include "attribute/holders.hpp"
#include "attribute/proc_connector.hpp"

namespace imdsgate {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRingAt = 64u << 10;  // bytes that wait: a third of what the socket holds
constexpr auto kRingAfter = 50ms;      // how late the gateway may learn of an exec that it does not ask for
constexpr auto kSweepEvery = 1s;
// Being woken by each event is what costs the host most: the waker pays. So from this many execs in a window
// on, the tracker looks by itself, as often as its source wants, and is woken by the gateway alone. Below that it is
// woken by each, and reads a program within its first moments.
constexpr auto kWindow = 100ms;
constexpr std::uint64_t kManyExecs = 10;
// Events are stamped before they are queued: one this much younger than a request was queued after it.
constexpr auto kDisorder = 10ms;

std::chrono::nanoseconds clock_reading(clockid_t clock) {
  timespec time{};
  (void)::clock_gettime(clock, &time);  // fails for an unknown clock only
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::uint64_t boot_ticks(MonotonicTime time) {
  auto const suspended = clock_reading(CLOCK_BOOTTIME) - clock_reading(CLOCK_MONOTONIC);
  auto const since_boot = time.time_since_epoch() + suspended;
  auto const tick = std::chrono::nanoseconds(1s) / ::sysconf(_SC_CLK_TCK);
  return static_cast<std::uint64_t>(since_boot / tick);
}

std::unique_ptr<ExecSource> source_of(TrackerFds const &fds) {
  if (!fds.shared) return std::make_unique<ProcConnector>(fds.source.get());
  return ExecRing::open(fds.source.get(), fds.shared.get());
}

ProcessReader reader_of(Describer &describer) {
  ProcessReader reader;
  reader.recorded = [&describer](KernelExec const &exec) { return describer.recorded(exec); };
  reader.set_rights = [&describer](Process &process, TaskState const &state) {
    describer.set_rights(process, state);
  };
  reader.describe = [&describer](pid_t tgid) { return describer.image(tgid); };
  reader.stat = stat_of;
  reader.rename = [&describer](Process &process, pid_t tgid, std::uint64_t start_ticks) {
    describer.rename(process, tgid, start_ticks);
  };
  reader.look_again = [&describer] { describer.look_again(); };
  reader.everyone = HolderSearch::everyone;
  reader.now = std::chrono::steady_clock::now;
  reader.ticks = boot_ticks;
  return reader;
}

}  // namespace

ExecTracker::ExecTracker(HeldFd records, HeldFd doorbell, ExecPage page, ExecSource &source,
                         ProcessReader reader)
    : records_(std::move(records)),
      doorbell_(std::move(doorbell)),
      page_(std::move(page)),
      source_(source),
      table_(reader, [this](TrackerRecord const &record) { tell(record); }),
      now_(reader.now) {}

bool ExecTracker::run_once(int timeout_ms) {
  bool const settled = emptied_ && barriers_.empty() && ready_;
  if (!(settled && napping_ ? nap() : wait(settled ? timeout_ms : 0))) return false;
  send_told();
  auto const now = now_();
  count_execs(now);
  if (unrung_since_ && now - *unrung_since_ >= kRingAfter) ring();
  return !gateway_gone_;
}

// Until something happens, but not longer than there is something to do by itself.
bool ExecTracker::wait(int timeout_ms) {
  if (timeout_ms != 0 && unrung_since_) {
    timeout_ms = static_cast<int>(kRingAfter / 1ms);
  } else if (timeout_ms != 0 && table_.has_leaderless()) {
    timeout_ms = static_cast<int>(kSweepEvery / 1ms);
  }
  std::array<pollfd, 2> polls{{{source_.poll_fd(), POLLIN, 0}, {records_.get(), POLLIN, 0}}};
  if (::poll(polls.data(), polls.size(), timeout_ms) < 0 && errno != EINTR) return false;
  if (polls[0].revents != 0 || !emptied_) {
    take_events();
    answer(false);
  } else {
    at_rest();
  }
  // Only now: what was queued before these were sent is looked for in the next round.
  return polls[1].revents == 0 || take_requests();
}

bool ExecTracker::nap() {
  pollfd request{records_.get(), POLLIN, 0};
  if (::poll(&request, 1, static_cast<int>(source_.patience() / 1ms)) < 0 && errno != EINTR) return false;
  if (request.revents != 0 && !take_requests()) return false;
  take_events();
  if (events_.empty() && emptied_) {
    at_rest();
  } else {
    answer(false);
  }
  return true;
}

void ExecTracker::count_execs(MonotonicTime now) {
  if (now - window_began_ < kWindow) return;
  auto const execs = table_.counters().execs;
  napping_ = execs - window_execs_ >= kManyExecs;
  window_began_ = now;
  window_execs_ = execs;
}

void ExecTracker::take_events() {
  // Set before events are taken, cleared when their records are sent: whoever sees the queue empty first and
  // then this at 0 has all of them. The fence keeps the store ahead of what the kernel subtracts.
  page_->busy.store(1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  events_.clear();
  emptied_ = source_.drain(events_);
  if (!events_.empty()) table_.apply(events_);
  for (auto const &event : events_) last_event_ = std::max(last_event_, event.time);
  if (!emptied_) return;
  if (table_.needs_scan()) table_.scan();
  send_told();
  page_->busy.store(0);
}

// Nothing is queued.
void ExecTracker::at_rest() {
  auto const now = now_();
  if (!std::exchange(ready_, true)) {
    tell(ReadyRecord{now, static_cast<std::uint32_t>(table_.size())});
    ring();
    page_->busy.store(0);
  }
  answer(true);
  if (now - swept_ < kSweepEvery) return;
  table_.sweep();
  swept_ = now;
}

bool ExecTracker::take_requests() {
  for (;;) {
    BarrierRequest request;
    auto const size = ::recv(records_.get(), &request, sizeof request, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    if (size != sizeof request) return false;
    barriers_.push_back({request.number, now_()});
  }
}

// The barriers that all events before them have gone by.
void ExecTracker::answer(bool at_rest) {
  auto const passed = [&](Barrier const &barrier) {
    return at_rest || last_event_ > barrier.received + kDisorder;
  };
  bool any = false;
  for (auto const &barrier : barriers_) {
    if (!passed(barrier)) continue;
    tell(BarrierRecord{barrier.number});
    any = true;
  }
  if (!any) return;
  std::erase_if(barriers_, passed);
  ring();
}

void ExecTracker::tell(TrackerRecord const &record) {
  told_.add(record);
  if (told_.full()) send_told();
}

void ExecTracker::send_told() {
  if (told_.empty()) return;
  auto const datagram = told_.take();
  int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
  while (::send(records_.get(), datagram.data(), datagram.size(), flags) < 0 && !gateway_gone_) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) gateway_gone_ = true;
    flags = MSG_NOSIGNAL;  // now wait, once the gateway knows
    ring();
  }
  page_->sent.fetch_add(1);
  unrung_ += datagram.size();
  if (!unrung_since_) unrung_since_ = now_();
  if (unrung_ >= kRingAt) ring();
}

// The gateway takes what was sent; what was told goes first.
void ExecTracker::ring() {
  send_told();
  unrung_since_.reset();
  unrung_ = 0;
  std::uint64_t const one = 1;
  (void)!::write(doorbell_.get(), &one, sizeof one);  // full is rung
}

int run_tracker(HeldFd records, TrackerFds fds) {
  auto page = ExecPage::map(std::move(fds.page));
  auto const source = source_of(fds);
  if (!page || !source) return 1;
  CgroupTree cgroups = CgroupTree::open();
  Describer describer(cgroups);
  ExecTracker tracker(std::move(records), std::move(fds.doorbell), std::move(*page), *source,
                      reader_of(describer));
  tracker.scan();
  while (tracker.run_once(-1)) {
  }
  return 0;
}

}  // namespace imdsgate
