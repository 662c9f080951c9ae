#include "report/async_sink.hpp"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "report/sink_target.hpp"

namespace imdsgate {
namespace {

std::string sink_name(SinkOptions const &options) {
  switch (options.type) {
    case SinkOptions::Type::file: return "file:" + options.path;
    case SinkOptions::Type::journald: return "journald";
    case SinkOptions::Type::syslog: return "syslog";
    case SinkOptions::Type::standard_output: return "stdout";
  }
  __builtin_unreachable();
}

// The sink that spdlog's thread calls: joins the lines that wait, where the target takes them so, and counts what comes
// of each. Held by whoever still needs it, the thread too.
class CountingSink final : public spdlog::sinks::sink {
 public:
  CountingSink(std::string name, std::unique_ptr<SinkTarget> target)
      : name_(std::move(name)), target_(std::move(target)) {}

  void log(spdlog::details::log_msg const &line) override {
    if (lines_ == 0 && nothing_waits()) return deliver(line, 1);
    if (lines_ > 0) joined_ += '\n';
    joined_.append(line.payload.data(), line.payload.size());
    ++lines_;
    if (joined_.size() < target_->at_once() && !nothing_waits()) return;
    deliver({line.time, line.source, line.logger_name, line.level, joined_}, lines_);
    joined_.clear();
    lines_ = 0;
  }
  // Before anything is posted: whether more lines come right behind one.
  std::function<bool()> nothing_waits = [] { return true; };
  void flush() override {}  // a target keeps nothing back
  void set_pattern(std::string const &) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  void lost() { failed_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }

  std::uint64_t done() {
    std::lock_guard const lock(mutex_);
    return done_;
  }

  template <class Enough>
  bool wait(std::chrono::milliseconds deadline, Enough enough) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, deadline, [&] { return enough(done_); });
  }

 private:
  void deliver(spdlog::details::log_msg const &lines, std::uint64_t count) {
    try {
      target_->deliver(lines);
    } catch (std::exception const &error) {
      failed_.fetch_add(count, std::memory_order_relaxed);
      say(error.what());
    }
    {
      std::lock_guard const lock(mutex_);
      done_ += count;
    }
    changed_.notify_all();
  }
  void say(char const *what) {
    auto const now = std::chrono::steady_clock::now();
    if (said_ && now - *said_ < std::chrono::minutes(1)) return;
    said_ = now;
    spdlog::logger("report", std::make_shared<spdlog::sinks::stderr_sink_mt>())
        .error("sink {}: {}; {} events lost so far", name_, what, failed());
  }

  std::string name_;
  std::unique_ptr<SinkTarget> target_;
  // The thread's own.
  std::string joined_;
  std::uint64_t lines_ = 0;  // in joined_
  std::optional<std::chrono::steady_clock::time_point> said_;
  std::atomic<std::uint64_t> failed_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t done_ = 0;
};

}  // namespace

struct AsyncSink::Worker {
  std::shared_ptr<CountingSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

Result<std::unique_ptr<AsyncSink>> AsyncSink::open(SinkOptions const &options) {
  try {
    auto worker = std::make_unique<Worker>();
    auto const name = sink_name(options);
    worker->sink = std::make_shared<CountingSink>(name, open_target(options));
    worker->pool = std::make_shared<spdlog::details::thread_pool>(kQueue, 1);
    worker->sink->nothing_waits = [pool = worker->pool.get()] { return pool->queue_size() == 0; };
    worker->logger = std::make_shared<spdlog::async_logger>(name, worker->sink, worker->pool,
                                                            spdlog::async_overflow_policy::overrun_oldest);
    worker->logger->set_error_handler([sink = worker->sink](std::string const &) { sink->lost(); });
    return std::unique_ptr<AsyncSink>(new AsyncSink(name, options.alerts_only, std::move(worker)));
  } catch (std::exception const &error) {
    return Error{Errc::system, "sink " + sink_name(options) + ": " + error.what()};
  }
}

AsyncSink::AsyncSink(std::string name, bool alerts_only, std::unique_ptr<Worker> worker)
    : name_(std::move(name)), alerts_only_(alerts_only), worker_(std::move(worker)) {}

AsyncSink::~AsyncSink() {
  close(std::chrono::milliseconds(200));
}

void AsyncSink::post(std::string_view line, bool alert) noexcept {
  if (!worker_->pool) {
    ++left_;
    return;
  }
  ++posted_;
  // A journal and syslog show the level; a file does not.
  worker_->logger->log(alert ? spdlog::level::warn : spdlog::level::info,
                       spdlog::string_view_t(line.data(), line.size()));
}

bool AsyncSink::flush(std::chrono::milliseconds deadline) {
  if (!worker_->pool) return left_ == 0;
  return worker_->sink->wait(
      deadline, [&](std::uint64_t done) { return done + worker_->pool->overrun_counter() >= posted_; });
}

bool AsyncSink::close(std::chrono::milliseconds deadline) {
  if (!worker_->pool) return left_ == 0;
  bool const written = flush(deadline);
  std::uint64_t const overrun = worker_->pool->overrun_counter();
  left_ = overrun;
  if (!written) {
    auto const finished = worker_->sink->done() + overrun;
    left_ += posted_ > finished ? posted_ - finished : 0;
    // Joining would wait for a place that does not take its line; the thread and what it uses are left to the
    // exit.
    static_cast<void>(new std::shared_ptr<spdlog::details::thread_pool>(worker_->pool));
  }
  worker_->pool.reset();
  return written;
}

std::uint64_t AsyncSink::dropped() const {
  auto const overrun = worker_->pool ? worker_->pool->overrun_counter() : left_.load();
  return overrun + worker_->sink->failed();
}

}  // namespace imdsgate
