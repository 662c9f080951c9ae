#include "attribute/worker_pool.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace imdsgate {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
constexpr auto await = asio::as_tuple(asio::use_awaitable);
using Clock = std::chrono::steady_clock;

constexpr auto kTick = 4ms;       // how late a deadline may be noticed, and how long a question waits before
                                  // another worker is asked for
constexpr auto kStartPause = 1s;  // between attempts to start a prober that died
constexpr auto kColdAfter = 60s;  // a worker beyond the warm ones that was not needed for this long goes
constexpr std::size_t kAtOnce = 2;  // workers asked of the keeper at a time

// False: the other end is gone, or takes nothing (which a worker without a question never does).
bool send_message(int socket, Bytes const &bytes, int attachment) {
  iovec part{const_cast<std::uint8_t *>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (attachment >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &attachment, sizeof attachment);
  }
  return ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

Answer refuse(Reason reason, std::string detail) {
  return Refusal{reason, std::move(detail)};
}

}  // namespace

struct WorkerPool::Worker {
  asio::posix::stream_descriptor socket;
  HeldFd pidfd;  // held so that the number stays its own while we may ask to kill it
  pid_t pid = 0;
  std::uint32_t sequence = 0;
  Deadline deadline = Deadline::max();  // of the question that is out
  Deadline last_used{};
  std::optional<Refusal> ended{};  // why the question that is out gets no answer
};

struct WorkerPool::Waiter {
  asio::steady_timer wake;
  Deadline since;
  WorkerPtr worker;
};

WorkerPool::WorkerPool(asio::any_io_executor loop, WorkerPoolOptions options)
    : loop_(std::move(loop)), options_(std::move(options)), timer_(loop_), buffer_(kMaxMessage) {}

WorkerPool::~WorkerPool() = default;

asio::awaitable<Answer> WorkerPool::ask(Question question, Deadline deadline, HeldFd attachment) {
  if (auto const running = start_prober(); !running) {
    co_return refuse(Reason::prober_unavailable, running.error().detail);
  }
  if (idle_.empty() && waiting_.size() >= options_.waiting) {
    ++counters_.refused_busy;
    co_return refuse(Reason::attribution_busy, "too many questions are waiting for a prober's worker");
  }
  auto worker = co_await idle_worker(deadline);
  if (!worker && !keeper_) co_return refuse(Reason::prober_unavailable, "the prober ended");
  if (!worker) co_return refuse(Reason::attribution_timeout, "no worker of the prober was free in time");
  if (Clock::now() >= deadline) {  // it came just too late
    release(std::move(worker));
    co_return refuse(Reason::attribution_timeout, "no worker of the prober was free in time");
  }
  ++counters_.questions;
  auto const bytes = encode(++worker->sequence, question);
  if (!send_message(worker->socket.native_handle(), bytes, attachment.get())) {
    abandon(worker, "it takes no question");
    co_return refuse(Reason::unreadable, "the prober's worker ended");
  }
  worker->deadline = deadline;
  tick_soon();
  auto const [ec] = co_await worker->socket.async_wait(asio::posix::stream_descriptor::wait_read, await);
  if (worker->ended) co_return Answer{*worker->ended};
  if (ec) co_return refuse(Reason::unreadable, ec.message());  // the loop is being torn down
  worker->deadline = Deadline::max();
  auto const size =
      ::recv(worker->socket.native_handle(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
  auto const whole = size > 0 && static_cast<std::size_t>(size) <= buffer_.size();
  auto answer = whole ? decode_answer({buffer_.data(), static_cast<std::size_t>(size)}) : std::nullopt;
  if (!answer || answer->sequence != worker->sequence) {
    abandon(worker, size == 0 ? "it ended" : "its answer has no meaning");
    co_return refuse(Reason::unreadable, "the prober's worker ended or answered nonsense");
  }
  release(std::move(worker));
  co_return std::move(answer->value);
}

asio::awaitable<WorkerPool::WorkerPtr> WorkerPool::idle_worker(Deadline deadline) {
  if (!idle_.empty()) {
    auto worker = std::move(idle_.back());
    idle_.pop_back();
    co_return worker;
  }
  Waiter waiter{asio::steady_timer(loop_, deadline), Clock::now(), nullptr};
  auto const place = waiting_.insert(waiting_.end(), &waiter);
  tick_soon();
  co_await waiter.wake.async_wait(await);  // whether it expired or was cancelled, what counts is the worker
  if (!waiter.worker) waiting_.erase(place);
  co_return std::move(waiter.worker);
}

void WorkerPool::release(WorkerPtr worker) {
  worker->last_used = Clock::now();
  if (!waiting_.empty()) {
    auto *waiter = waiting_.front();
    waiting_.pop_front();
    waiter->worker = std::move(worker);
    waiter->wake.cancel();
    return;
  }
  idle_.push_back(std::move(worker));
  retire_cold();
}

void WorkerPool::abandon(WorkerPtr const &worker, std::string const &why) {
  ++counters_.workers_replaced;
  std::erase(workers_, worker);
  std::erase(idle_, worker);
  if (keeper_) keeper_->kill(worker->pid);
  boost::system::error_code ignored;  // closing cannot fail in a way that matters
  worker->socket.close(ignored);
  request_workers();
  if (on_replaced)
    on_replaced("worker " + std::to_string(worker->pid) + " of the prober was replaced: " + why);
}

void WorkerPool::retire_cold() {
  while (workers_.size() > options_.warm && idle_.size() > 1 &&
         Clock::now() - idle_.front()->last_used > kColdAfter) {
    std::erase(workers_, idle_.front());  // its socket closes, and it ends by itself
    idle_.erase(idle_.begin());
  }
}

Result<void> WorkerPool::start_prober() {
  auto const now = Clock::now();
  if (keeper_) return {};
  if (closed_ || now < next_start_) return Error{Errc::refused, "the prober is not running"};
  next_start_ = now + kStartPause;
  auto process = options_.start();
  if (!process) return process.error();
  ++counters_.probers_started;
  keeper_ = std::make_unique<KeeperLink>(
      loop_, std::move(*process),
      KeeperLink::Events{[this](NewWorker worker) { add(std::move(worker)); }, [this] { prober_gone(); }});
  request_workers();
  return {};
}

void WorkerPool::close() {
  closed_ = true;
  prober_gone();
  timer_.cancel();
}

void WorkerPool::prober_gone() {
  keeper_.reset();
  requested_ = 0;
  idle_.clear();
  for (auto const &worker : std::exchange(workers_, {})) {
    worker->ended = Refusal{Reason::prober_unavailable, "the prober ended"};
    boost::system::error_code ignored;
    worker->socket.close(ignored);
  }
  if (auto const started = start_prober()) {  // those who wait get a worker of the new one
    if (on_replaced) on_replaced("the prober ended, another was started");
    return;
  } else if (!closed_ && on_replaced) {
    on_replaced("the prober ended and was not started again: " + started.error().detail);
  }
  for (auto *waiter : waiting_) waiter->wake.cancel();
}

void WorkerPool::request_workers() {
  auto const wanted = waiting_.empty() ? options_.warm : options_.limit;
  while (keeper_ && requested_ < kAtOnce && workers_.size() + requested_ < wanted &&
         keeper_->request_worker()) {
    ++requested_;
  }
}

void WorkerPool::add(NewWorker fresh) {
  if (requested_ > 0) --requested_;
  if (fresh.pid == 0) return;  // asked for again when a question waits
  ++counters_.workers_started;
  auto worker = std::make_shared<Worker>(Worker{asio::posix::stream_descriptor(loop_, fresh.socket.release()),
                                                std::move(fresh.pidfd), fresh.pid});
  workers_.push_back(worker);
  release(std::move(worker));
}

bool WorkerPool::request_tracker(std::span<int const> fds, std::function<void(NewWorker)> made) {
  return start_prober().has_value() && keeper_->request_tracker(fds, std::move(made));
}

void WorkerPool::kill_tracker(pid_t tracker) {
  if (keeper_) keeper_->kill(tracker);
}

std::vector<pid_t> WorkerPool::worker_pids() const {
  std::vector<pid_t> pids;
  for (auto const &worker : workers_) pids.push_back(worker->pid);
  return pids;
}

void WorkerPool::tick_soon() {
  if (ticking_) return;
  ticking_ = true;
  timer_.expires_after(kTick);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) tick();
  });
}

void WorkerPool::tick() {
  ticking_ = false;
  auto const now = Clock::now();
  std::vector<WorkerPtr> late;
  bool out = false;
  for (auto const &worker : workers_) {
    if (worker->deadline <= now) late.push_back(worker);
    out = out || worker->deadline != Deadline::max();
  }
  for (auto const &worker : late) {
    worker->ended = Refusal{Reason::unreadable, "the prober's worker did not answer in time"};
    abandon(worker, "it did not answer in time");
  }
  if (!waiting_.empty() && now - waiting_.front()->since >= kTick) request_workers();
  if (out || !waiting_.empty()) tick_soon();
}

}  // namespace imdsgate
