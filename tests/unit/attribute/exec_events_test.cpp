// Execs of this machine as the kernel tells them, by each of its ways. The test sees everybody's, and asserts of its
// own children only.
#include "attribute/exec_events.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <boost/asio/co_spawn.hpp>
#include <fstream>
#include <thread>

#include "attribute/bpf_execs.hpp"
#include "attribute/proc_connector.hpp"
#include "live_host.hpp"

extern char **environ;

namespace imdsgate::test {
namespace {

using namespace std::chrono_literals;

// Where the tests begin; LiveHost goes into a network namespace of its own, which has no connector.
HeldFd const first_network(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));

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
  static std::string exe(std::optional<Process> const &process) {
    return process && process->executable ? process->executable->path : "unknown";
  }

  ExecQueue queue_;
  std::unique_ptr<ExecEvents> events_;
  std::vector<ExecRecord> told_;
  std::vector<LostRecord> lost_;
  std::vector<std::string> replaced_;
};

// Ends before anything but the kernel has seen it.
pid_t spawn_true() {
  pid_t pid = 0;
  char name[] = "true";
  char *const arguments[] = {name, nullptr};
  return ::posix_spawn(&pid, "/bin/true", nullptr, nullptr, arguments, environ) == 0 ? pid : 0;
}

std::string own_path() {
  return std::filesystem::read_symlink("/proc/self/exe");
}

TEST_P(ExecEventsTest, AnExecIsToldWithWhatItWasAndByWhom) {
  start_events();
  auto const program = temp_.copy("/bin/sleep", "tool");
  Child child([&](auto) { run(program, "1000"); });
  child.wait_exec();
  auto const record = record_of(child.pid());
  ASSERT_TRUE(record.process);
  EXPECT_EQ(exe(record.process), program);
  EXPECT_TRUE(record.process->executable->proven());
  EXPECT_EQ(record.process->args, (std::vector<std::string>{program, "1000"}));
  EXPECT_EQ(record.exec_seq, 1u);
  EXPECT_EQ(record.parent_tgid, ::getpid());
  EXPECT_EQ(exe(record.parent), own_path());
  auto const age = std::chrono::steady_clock::now() - record.time;
  EXPECT_GT(age, 0s);
  EXPECT_LT(age, 20s);
  auto const known = events_->history().find(child.pid(), *record.start_ticks);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->process->entity_id, record.process->entity_id);
}

TEST_P(ExecEventsTest, TheIdentityIsTheOneThatAttributionGives) {
  start_events();
  Child child([&](auto) {
    connect_here();
    run("/bin/sleep", "1000");
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  auto const named = attribute(accept());
  ASSERT_NAMED(named);
  ASSERT_TRUE(record.process && record.parent && named->holders[0]->parent);
  EXPECT_EQ(record.process->id, named->holders[0]->process.id);
  EXPECT_EQ(record.process->entity_id, named->holders[0]->process.entity_id);
  EXPECT_EQ(record.parent->entity_id, named->holders[0]->parent->entity_id);
}

TEST_P(ExecEventsTest, AParentThatEndedBeforeTheExecKeepsItsIdentity) {
  start_events();
  int hold[2], go[2], done[2];  // the orphan's life, its go, and both orphan's and parent's end or exec
  ASSERT_EQ(::pipe2(hold, O_CLOEXEC) | ::pipe2(go, O_CLOEXEC) | ::pipe2(done, O_CLOEXEC), 0);
  Child parent = waiting([&] {
    auto const first = fork_with_me();
    if (first == 0) run("/bin/sleep", "1000");
    auto const orphan = ::fork();
    if (orphan == 0) {
      char byte = 0;
      if (::read(go[0], &byte, 1) != 1 || ::dup2(hold[0], 0) != 0) ::_exit(97);
      run("/bin/cat", "-");
    }
    pid_t const pids[] = {first, orphan};
    if (::write(done[1], pids, sizeof pids) != sizeof pids) ::_exit(97);
  });
  pid_t pids[2] = {};
  ASSERT_EQ(::read(done[0], pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
  ::close(done[1]);
  run_until([&] { return drained() && last_of(pids[0]) != nullptr; });
  auto const while_alive = record_of(pids[0]);
  auto const parent_pid = parent.pid();
  parent.end();
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  char byte = 0;
  ASSERT_EQ(::read(done[0], &byte, 1), 0) << "closed by the orphan's exec";
  auto const record = record_of(pids[1]);
  ASSERT_TRUE(record.process && record.parent && while_alive.parent);
  EXPECT_NE(record.process->parent_pid, parent_pid) << "it was adopted";
  EXPECT_EQ(record.parent_tgid, parent_pid);
  EXPECT_EQ(record.parent->entity_id, while_alive.parent->entity_id);
  EXPECT_EQ(exe(record.parent), own_path());
  for (int const fd : {hold[0], hold[1], go[0], go[1], done[0]}) ::close(fd);
}

TEST_P(ExecEventsTest, AScriptIsItsInterpreterWithTheScriptAsArgument) {
  start_events();
  auto const script = (temp_.path / "job").string();
  std::ofstream(script) << "#!/bin/sh\nread line\n";
  std::filesystem::permissions(script, std::filesystem::perms(0755));
  int hold[2];
  ASSERT_EQ(::pipe2(hold, O_CLOEXEC), 0);
  Child child([&](auto) {
    if (::dup2(hold[0], 0) != 0) ::_exit(97);
    run(script, "argument");
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  ASSERT_TRUE(record.process);
  EXPECT_EQ(exe(record.process), std::filesystem::canonical("/bin/sh"));
  EXPECT_EQ(record.process->args, (std::vector<std::string>{"/bin/sh", script, "argument"}));
  auto const paths = claimed_executables(*record.process);
  EXPECT_NE(std::find(paths.begin(), paths.end(), script), paths.end());
  EXPECT_EQ(record.exec_seq, 1u);
  ::close(hold[0]);
  ::close(hold[1]);
}

TEST_P(ExecEventsTest, AMemfdIsNoFileOfTheDisk) {
  start_events();
  Child child([&](auto) {
    HeldFd const memory(::memfd_create("tool", MFD_CLOEXEC));
    HeldFd const sleep(::open("/bin/sleep", O_RDONLY | O_CLOEXEC));
    auto const size = static_cast<std::size_t>(std::filesystem::file_size("/bin/sleep"));
    std::vector<char> bytes(size);
    if (::read(sleep.get(), bytes.data(), size) != static_cast<ssize_t>(size) ||
        ::write(memory.get(), bytes.data(), size) != static_cast<ssize_t>(size)) {
      ::_exit(97);
    }
    char name[] = "tool", argument[] = "1000";
    char *const arguments[] = {name, argument, nullptr};
    ::fexecve(memory.get(), arguments, environ);
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  ASSERT_TRUE(record.process);
  EXPECT_EQ(exe(record.process), "/memfd:tool");
  EXPECT_FALSE(record.process->executable->proven());
}

// An unprivileged user's own view of the files: the path reads well, and is no proof.
TEST_P(ExecEventsTest, ABindMountOverTheProgramIsNotProven) {
  start_events();
  auto const fake = temp_.copy("/bin/sleep", "fake");
  Child child([&](auto) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(fake.c_str(), "/usr/bin/id", nullptr, MS_BIND, nullptr) != 0) {
      ::_exit(97);
    }
    run("/usr/bin/id", "1000");
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  ASSERT_TRUE(record.process);
  EXPECT_EQ(exe(record.process), "/usr/bin/id");
  EXPECT_FALSE(record.process->executable->proven());
}

TEST_P(ExecEventsTest, TheWorkingDirectoryIsWhereItWas) {
  start_events();
  Child child([&](auto) {
    if (::chdir(temp_.path.c_str()) != 0) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  child.wait_exec();
  EXPECT_EQ(record_of(child.pid()).process->working_directory, temp_.path);
  Child at_root([&](auto) {
    if (::chdir("/") != 0) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  at_root.wait_exec();
  EXPECT_EQ(record_of(at_root.pid()).process->working_directory, "/");
}

TEST_P(ExecEventsTest, EveryExecOfAProcessIsCounted) {
  start_events();
  Child child([&](auto) {
    ::execl("/bin/sh", "sh", "-c", "exec /bin/sh -c 'exec sleep 1000'", static_cast<char *>(nullptr));
  });
  child.wait_exec();
  run_until([&] {
    auto const *record = drained() ? last_of(child.pid()) : nullptr;
    return record && record->exec_seq == 3;
  });
  auto const record = record_of(child.pid());
  EXPECT_EQ(exe(record.process), std::filesystem::canonical("/bin/sleep"));
  EXPECT_EQ(record.parent_tgid, ::getpid());
}

TEST_P(ExecEventsTest, AnExecByAThreadIsTheProcess) {
  start_events();
  Child child([&](auto) {
    std::thread([] { run("/bin/sleep", "1000"); }).detach();
    pause_forever();
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  EXPECT_EQ(exe(record.process), std::filesystem::canonical("/bin/sleep"));
  EXPECT_EQ(record.parent_tgid, ::getpid());
  EXPECT_TRUE(events_->history().find(child.pid(), record.start_ticks.value_or(0)));
}

TEST_P(ExecEventsTest, TheParentIsWhoItWasAtTheExec) {
  start_events();
  Child parent([&](auto ready) {
    // From here on it is another user than the one its image was read of.
    if (::setresgid(34, 34, 34) != 0 || ::setresuid(33, 33, 33) != 0) ::_exit(97);
    if (fork_with_me() == 0) run("/bin/sleep", "1000");
    ready();
    pause_forever();
  });
  parent.wait_ready();
  auto const by_parent = [&] {
    return std::find_if(told_.begin(), told_.end(),
                        [&](auto const &record) { return record.parent_tgid == parent.pid(); });
  };
  run_until([&] { return drained() && by_parent() != told_.end(); });
  auto const record = *by_parent();
  ASSERT_TRUE(record.process && record.parent);
  EXPECT_EQ(record.process->effective_uid, 33u);
  EXPECT_EQ(record.parent->effective_uid, 33u);
  EXPECT_EQ(record.parent->effective_gid, 34u);
}

TEST_P(ExecEventsTest, NoExecIsMissingAfterABarrier) {
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

TEST_P(ExecEventsTest, WithoutABarrierAnExecIsToldSoon) {
  start_events();
  Child child([&](auto) { run("/bin/sleep", "1000"); });
  child.wait_exec();
  run_until([&] { return last_of(child.pid()) != nullptr; });
}

TEST_P(ExecEventsTest, ALossIsSaidAndTheLivingAreFound) {
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
  // And on.
  Child another([&](auto) { run("/bin/sleep", "1000"); });
  another.wait_exec();
  EXPECT_FALSE(record_of(another.pid()).found_later);
  EXPECT_GT(events_->counters().losses, 0u);
  EXPECT_GT(events_->counters().events_lost, 0u) << "the gap in the numbers is counted";
}

TEST_P(ExecEventsTest, ATrackerThatDiesIsReplacedAndTheTimeBetweenIsUnknown) {
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

TEST_P(ExecEventsTest, ATrackerThatDoesNotAnswerIsReplaced) {
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

TEST_P(ExecEventsTest, TheProbersEndIsTheTrackersAndBothAreStartedAnew) {
  start_events({.restart_pause = 50ms});
  auto const first = events_->tracker_pid();
  ASSERT_EQ(::kill(client_->prober_pid(), SIGKILL), 0);
  run_until([&] { return !events_->ready(); });
  run_until([&] { return events_->ready(); });
  EXPECT_NE(events_->tracker_pid(), first);
}

TEST_P(ExecEventsTest, RunsFromTheBinaryAndEndsWithTheGateway) {
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

INSTANTIATE_TEST_SUITE_P(Sources, ExecEventsTest, ::testing::Values(By::proc_connector, By::bpf),
                         [](auto const &source) { return source.param == By::bpf ? "bpf" : "proc_connector"; });

}  // namespace
}  // namespace imdsgate::test
