// Exec events of this machine, by each of their ways, for tests that see everybody's and assert of their own children.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>

#include <boost/asio/co_spawn.hpp>

#include "attribute/bpf_execs.hpp"
#include "attribute/exec_events.hpp"
#include "attribute/proc_connector.hpp"
#include "images.hpp"
#include "live_host.hpp"

extern char **environ;

namespace imdsgate::test {

using namespace std::chrono_literals;

// Where the tests begin; LiveHost goes into a network namespace of its own, which has no connector.
inline HeldFd const first_network(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));

enum class By { proc_connector, bpf };

class ExecEventsTest : public LiveHost, public ::testing::WithParamInterface<By> {
 protected:
  void SetUp() override {
    ASSERT_EQ(::setns(first_network.get(), CLONE_NEWNET), 0) << "needs root";
    open_queue(16 << 20);
    if (IsSkipped()) return;
    LiveHost::SetUp();
  }
  void TearDown() override {
    if (events_) events_->close();
    LiveHost::TearDown();
  }
  void open_queue(int bytes) {
    auto opened = GetParam() == By::bpf ? load_exec_programs({.ring_bytes = static_cast<std::uint32_t>(bytes)})
                                        : open_proc_connector({.receive_buffer = bytes});
    if (!opened) GTEST_SKIP() << "no exec events here: " << opened.error().detail;
    queue_ = std::move(*opened);
  }
  void start_events(ExecEventsOptions options = {}) {
    options.request = [this](std::span<int const> fds, std::function<void(NewWorker)> made) {
      return client_->request_tracker(fds, std::move(made));
    };
    options.kill = [this](pid_t pid) { client_->kill_tracker(pid); };
    auto opened = ExecEvents::open(io_.get_executor(), std::move(queue_), std::move(options));
    ASSERT_TRUE(opened) << opened.error().detail;
    events_ = std::move(*opened);
    events_->on_exec = [this](ExecRecord const &record) { told_.push_back(record); };
    events_->on_lost = [this](LostRecord const &lost) { lost_.push_back(lost); };
    events_->on_replaced = [this](std::string const &why) { replaced_.push_back(why); };
    events_->start();
    run_until([&] { return events_->ready(); });
  }
  bool drained(std::chrono::milliseconds within = 10s) {
    std::optional<bool> result;
    boost::asio::co_spawn(io_, events_->drained(std::chrono::steady_clock::now() + within),
                          [&](std::exception_ptr, bool passed) { result = passed; });
    run_until([&] { return result.has_value(); });
    return result.value_or(false);
  }
  ExecRecord const *last_of(pid_t pid) const {
    auto const found =
        std::find_if(told_.rbegin(), told_.rend(), [&](auto const &r) { return r.tgid == pid; });
    return found == told_.rend() ? nullptr : &*found;
  }
  // The record of what the child exec'd, after a barrier.
  ExecRecord record_of(pid_t pid) {
    EXPECT_TRUE(drained());
    auto const *record = last_of(pid);
    EXPECT_TRUE(record) << "nothing was told of process " << pid;
    if (!record) return {};
    EXPECT_TRUE(record->process) << record->unknown;
    return *record;
  }

  ExecQueue queue_;
  std::unique_ptr<ExecEvents> events_;
  std::vector<ExecRecord> told_;
  std::vector<LostRecord> lost_;
  std::vector<std::string> replaced_;
};

// Ends before anything but the kernel has seen it.
inline pid_t spawn_true() {
  pid_t pid = 0;
  char name[] = "true";
  char *const arguments[] = {name, nullptr};
  return ::posix_spawn(&pid, "/bin/true", nullptr, nullptr, arguments, environ) == 0 ? pid : 0;
}

inline std::string own_path() {
  return std::filesystem::read_symlink("/proc/self/exe");
}

#define BY_EACH_SOURCE(suite)                                                                \
  INSTANTIATE_TEST_SUITE_P(Sources, suite, ::testing::Values(By::proc_connector, By::bpf), \
                           [](auto const &source) { return source.param == By::bpf ? "bpf" : "proc_connector"; })

}  // namespace imdsgate::test
