// What is certain about exec events: after a barrier, after a loss, and when a tracker ends.
#include <signal.h>
#include <sys/syscall.h>

#include "exec_events_host.hpp"

namespace imdsgate::test {
namespace {

using ExecLossesTest = ExecEventsTest;

TEST_P(ExecLossesTest, NoExecIsMissingAfterABarrier) {
  start_events();
  constexpr int kExecs = 300;
  int missing = 0;
  for (int i = 0; i < kExecs; ++i) {
    auto const pid = spawn_true();
    ASSERT_GT(pid, 0);
    ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
    ASSERT_TRUE(drained());
    auto const *record = last_of(pid);
    if (!record) ++missing;
    if (record && GetParam() == By::bpf) {
      ASSERT_TRUE(record->process && record->parent) << "it is gone, and was written down before";
      EXPECT_EQ(record->process->args, std::vector<std::string>{"true"});
      EXPECT_EQ(record->process->executed_as, "/bin/true");
      EXPECT_EQ(exe(record->parent), own_path());
    }
    told_.clear();
  }
  EXPECT_EQ(missing, 0);
  auto const &counters = events_->counters();
  EXPECT_EQ(counters.drained_at_once + counters.drained_by_message, static_cast<std::uint64_t>(kExecs));
  EXPECT_EQ(lost_.size(), 0u);
}

TEST_P(ExecLossesTest, WithoutABarrierAnExecIsToldSoon) {
  start_events();
  Child child([&](auto) { run("/bin/sleep", "1000"); });
  child.wait_exec();
  run_until([&] { return last_of(child.pid()) != nullptr; });
}

TEST_P(ExecLossesTest, ALossIsSaidAndTheLivingAreFound) {
  ASSERT_EQ(::setns(first_network.get(), CLONE_NEWNET), 0);
  open_queue(16 << 10);
  start_events();
  auto const before = std::chrono::steady_clock::now();
  ASSERT_EQ(::kill(events_->tracker_pid(), SIGSTOP), 0);
  for (int i = 0; i < 100; ++i) {
    auto const pid = spawn_true();
    ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
  Child child([&](auto) { run("/bin/sleep", "1000"); });
  child.wait_exec();
  auto const after = std::chrono::steady_clock::now();
  ASSERT_EQ(::kill(events_->tracker_pid(), SIGCONT), 0);
  run_until([&] { return !lost_.empty() && last_of(child.pid()) != nullptr; });
  EXPECT_TRUE(events_->history().unknown_since(before, after));
  auto const record = *last_of(child.pid());
  EXPECT_TRUE(record.found_later);
  EXPECT_EQ(exe(record.process), std::filesystem::canonical("/bin/sleep"));
  EXPECT_EQ(record.parent_tgid, ::getpid());
  // And on: while others on the machine have still filled the queue, one may be found later, too.
  bool told = false;
  run_until([&] {
    if (told) return true;
    Child another([&](auto) { run("/bin/sleep", "1000"); });
    another.wait_exec();
    told = !record_of(another.pid()).found_later;
    return told;
  });
  EXPECT_GT(events_->counters().losses, 0u);
  // The gap in the numbers is counted: each processor has its own, so it shows with the next event of the one that lost.
  run_until([&] {
    if (events_->counters().events_lost > 0) return true;
    auto const pid = spawn_true();
    return ::waitpid(pid, nullptr, 0) != pid;
  });
  EXPECT_GT(events_->counters().events_lost, 0u);
}

TEST_P(ExecLossesTest, ATrackerThatDiesIsReplacedAndTheTimeBetweenIsUnknown) {
  start_events({.restart_pause = 50ms});
  Child child([&](auto) { run("/bin/sleep", "1000"); });
  child.wait_exec();
  auto const known = record_of(child.pid());
  auto const first = events_->tracker_pid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  run_until([&] { return !replaced_.empty(); });
  auto const dead = std::chrono::steady_clock::now();
  EXPECT_FALSE(drained(20ms));
  Child between([&](auto) { run("/bin/sleep", "1000"); });
  between.wait_exec();
  run_until([&] { return events_->ready(); });
  EXPECT_NE(events_->tracker_pid(), first);
  EXPECT_TRUE(drained());
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_GE(lost_[0].from, known.time);
  EXPECT_LE(lost_[0].from, dead);
  EXPECT_GT(lost_[0].to, dead);
  EXPECT_EQ(exe(record_of(between.pid()).process), std::filesystem::canonical("/bin/sleep"));
}

TEST_P(ExecLossesTest, ATrackerThatDoesNotAnswerIsReplaced) {
  start_events({.restart_pause = 50ms, .stuck_after = 100ms});
  auto const first = events_->tracker_pid();
  ASSERT_EQ(::kill(first, SIGSTOP), 0);
  auto const pid = spawn_true();
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  EXPECT_FALSE(drained(150ms)) << "the exec lies in the queue";
  EXPECT_EQ(events_->counters().drained_late, 1u);
  EXPECT_FALSE(drained(150ms));
  EXPECT_EQ(replaced_.size(), 1u);
  run_until([&] { return events_->ready(); });
  EXPECT_NE(events_->tracker_pid(), first);
  EXPECT_TRUE(drained());
}

TEST_P(ExecLossesTest, TheProbersEndIsTheTrackersAndBothAreStartedAnew) {
  start_events({.restart_pause = 50ms});
  auto const first = events_->tracker_pid();
  ASSERT_EQ(::kill(client_->prober_pid(), SIGKILL), 0);
  run_until([&] { return !events_->ready(); });
  run_until([&] { return events_->ready(); });
  EXPECT_NE(events_->tracker_pid(), first);
}

TEST_P(ExecLossesTest, RunsFromTheBinaryAndEndsWithTheGateway) {
  auto options = patient();
  options.pool.start = spawn_prober;
  start(std::move(options));
  start_events();
  Child child([&](auto) { run("/bin/sleep", "1000"); });
  child.wait_exec();
  EXPECT_TRUE(record_of(child.pid()).process->executable->proven());
  HeldFd const tracker(static_cast<int>(::syscall(SYS_pidfd_open, events_->tracker_pid(), 0)));
  ASSERT_TRUE(tracker);
  client_->close();
  pollfd poll{tracker.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&poll, 1, 10000), 1);
}

BY_EACH_SOURCE(ExecLossesTest);

}  // namespace
}  // namespace imdsgate::test
