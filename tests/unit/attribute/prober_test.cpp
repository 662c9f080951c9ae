// The prober's processes: what they may do, and what happens when one stalls or dies.
#include <poll.h>
#include <sys/capability.h>
#include <sys/syscall.h>

#include <algorithm>
#include <fstream>

#include "live_host.hpp"

namespace imdsgate::test {
namespace {

using namespace std::chrono_literals;

class ProberTest : public LiveHost {
 protected:
  // `count` connected clients and the flows their connections are.
  std::vector<Flow> clients(std::size_t count) {
    std::vector<Flow> flows;
    for (std::size_t i = 0; i < count; ++i) {
      children_.emplace_back([&](auto ready) {
        connect_here();
        ready();
        pause_forever();
      });
      children_.back().wait_ready();
      flows.push_back(accept());
    }
    return flows;
  }
  void start_warm(std::chrono::milliseconds deadline) {
    auto options = patient();
    options.deadline = deadline;
    start(std::move(options));
    run_until([&] { return client_->worker_pids().size() == 2; });
  }
  std::vector<Child> children_;
};

std::string status_line(pid_t pid, std::string const &key) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  }
  return "";
}

void expect_ends(pid_t pid) {
  HeldFd const pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return;  // reaped already
  pollfd poll{pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&poll, 1, 60000), 1) << "process " << pid << " is still there after a minute";
}

TEST_F(ProberTest, RunsFromTheBinaryWithTwoCapabilitiesOnly) {
  auto options = patient();
  options.pool.start = spawn_prober;
  start(std::move(options));
  run_until([&] { return client_->worker_pids().size() == 2; });
  auto const expected = (1ull << CAP_SYS_PTRACE) | (1ull << CAP_DAC_READ_SEARCH);
  auto pids = client_->worker_pids();
  pids.push_back(client_->prober_pid());
  for (auto const pid : pids) {
    EXPECT_EQ(std::stoull(status_line(pid, "CapEff"), nullptr, 16), expected);
    EXPECT_EQ(std::stoull(status_line(pid, "CapPrm"), nullptr, 16), expected);
    EXPECT_EQ(std::stoull(status_line(pid, "CapInh"), nullptr, 16), 0u);
    EXPECT_EQ(std::stoull(status_line(pid, "CapAmb"), nullptr, 16), 0u);
    EXPECT_EQ(status_line(pid, "NoNewPrivs"), "1");
  }
  auto const result = attribute(clients(1).front());
  ASSERT_NAMED(result);
  EXPECT_TRUE(result->holders[0]->process.executable->proven());
}

TEST_F(ProberTest, AStalledWorkerCostsOnlyItsQuestion) {
  start_warm(3000ms);
  auto const flows = clients(3);
  auto const stalled = client_->worker_pids().front();
  ASSERT_EQ(::kill(stalled, SIGSTOP), 0);
  std::string why;
  client_->on_replaced([&](std::string const &text) { why = text; });
  auto const results = attribute_all({flows[0], flows[1]});
  EXPECT_EQ(std::count_if(results.begin(), results.end(), [](auto const &r) { return r.has_value(); }), 1);
  for (auto const &result : results) {
    if (!result) {
      EXPECT_NOBODY(result, Reason::unreadable);
    }
  }
  EXPECT_EQ(client_->counters().workers_replaced, 1u);
  EXPECT_NE(why.find(std::to_string(stalled)), std::string::npos);
  run_until([&] { return client_->worker_pids().size() == 2; });
  auto const pids = client_->worker_pids();
  EXPECT_EQ(std::count(pids.begin(), pids.end(), stalled), 0);
  expect_ends(stalled);
  auto const after = attribute_all(flows);
  for (auto const &result : after) ASSERT_NAMED(result);
}

TEST_F(ProberTest, WhenAllAreStalledAnotherIsStarted) {
  start_warm(3000ms);
  auto const flows = clients(3);
  for (auto const pid : client_->worker_pids()) ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  auto const results = attribute_all(flows);
  EXPECT_EQ(std::count_if(results.begin(), results.end(), [](auto const &r) { return r.has_value(); }), 1);
  EXPECT_EQ(client_->counters().workers_replaced, 2u);
}

TEST_F(ProberTest, NoMoreThanTheLimitAreStarted) {
  auto options = patient();
  options.deadline = 600ms;
  options.pool.limit = 3;
  start(std::move(options));
  auto const flows = clients(8);
  std::size_t most = 0;
  // Each worker is stopped as soon as it is there, so that every question waits.
  std::vector<AttributionResult> results;
  for (int round = 0; round < 2; ++round) {
    for (auto const pid : client_->worker_pids()) ::kill(pid, SIGSTOP);
    results = attribute_all(flows);
    most = std::max(most, client_->worker_pids().size());
  }
  EXPECT_LE(most, 3u);
}

TEST_F(ProberTest, OneThatDiesIsStartedAgain) {
  auto const flow = clients(1).front();
  ASSERT_NAMED(attribute(flow));
  auto const first = client_->prober_pid();
  auto const workers = client_->worker_pids();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  // Not before a second after the first was started; until then nobody is named.
  run_until([&] { return attribute(flow).has_value() && client_->counters().probers_started == 2; });
  EXPECT_NE(client_->prober_pid(), first);
  for (auto const pid : workers) expect_ends(pid);
}

TEST_F(ProberTest, ThatCannotBeStartedIsUnavailable) {
  auto options = patient();
  options.pool.start = [started = false]() mutable -> Result<HelperProcess> {
    if (std::exchange(started, true)) return Error{Errc::refused, "not again"};
    return fork_prober();
  };
  start(std::move(options));
  auto const flow = clients(1).front();
  ASSERT_NAMED(attribute(flow));
  bool ended = false;
  client_->on_replaced([&](std::string const &) { ended = true; });
  ASSERT_EQ(::kill(client_->prober_pid(), SIGKILL), 0);
  run_until([&] { return ended; });
  EXPECT_NOBODY(attribute(flow), Reason::prober_unavailable);
}

TEST_F(ProberTest, EndsWithTheGateway) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  Child gateway([&](auto ready) {
    auto prober = fork_prober();
    if (!prober || ::write(pipe[1], &prober->pid, sizeof prober->pid) != sizeof prober->pid) ::_exit(97);
    ready();
    pause_forever();
  });
  gateway.wait_ready();
  pid_t pid = 0;
  ASSERT_EQ(::read(pipe[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  gateway.end();
  expect_ends(pid);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace imdsgate::test
