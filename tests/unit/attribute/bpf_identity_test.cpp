#include "attribute/bpf_identity.hpp"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <functional>
#include <vector>

namespace imdsgate {
namespace {

bpf_task task() {
  bpf_task task{};
  task.start_boottime = 1;
  task.exec_id = 2;
  task.mm = 3;
  task.tgid = 4;
  task.real_uid = task.effective_uid = task.saved_uid = 33;
  task.real_gid = task.effective_gid = task.saved_gid = 44;
  return task;
}

TEST(BpfIdentity, IsAnotherWhereAnythingOfItDiffers) {
  auto const changes = std::vector<std::function<void(bpf_task &)>>{
      [](bpf_task &t) { t.tgid = 9; },
      [](bpf_task &t) { t.start_boottime = 9; },
      [](bpf_task &t) { t.exec_id = 9; },
      [](bpf_task &t) { t.unusual = BPF_TASK_TRACED; },
      [](bpf_task &t) { t.real_uid = 9; },
      [](bpf_task &t) { t.effective_uid = 9; },
      [](bpf_task &t) { t.saved_uid = 9; },
      [](bpf_task &t) { t.real_gid = 9; },
      [](bpf_task &t) { t.effective_gid = 9; },
      [](bpf_task &t) { t.saved_gid = 9; },
  };
  EXPECT_TRUE(same_task(task(), task()));
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto now = task();
    changes[i](now);
    EXPECT_FALSE(same_task(task(), now)) << i;
    EXPECT_FALSE(still_same_task(task(), now)) << i;
    now.mm = 0;
    EXPECT_FALSE(still_same_task(task(), now)) << i << ": whatever its main thread did";
  }
}

TEST(BpfIdentity, OfWhichTheMainThreadHasEndedIsStillTheSame) {
  auto now = task();
  now.mm = 0;
  EXPECT_TRUE(still_same_task(task(), now));
  EXPECT_FALSE(same_task(task(), now)) << "what two records say is compared as it is";
}

TEST(BpfIdentity, OnlyAnExecutableThatTheKernelKnowsToBeExecdStaysProven) {
  auto seen = task();
  seen.start_boottime = 70'000'000;
  auto const doubt = [&](std::function<void(bpf_task &)> const &change) {
    auto now = seen;
    change(now);
    auto of_it = std::make_shared<Lineage>();
    of_it->process.id.tgid = 4;
    of_it->process.id.start_ticks = 7;
    of_it->process.executable = Executable{"/usr/bin/agent", false, std::nullopt};
    of_it->parent = of_it->process;
    auto const own = doubted(of_it, now, seen), parents = doubted(of_it, seen, now);
    EXPECT_TRUE(own->parent->executable->proven() && parents->process.executable->proven()) << "nobody else's";
    EXPECT_EQ(own->process.executable->unproven, parents->parent->executable->unproven);
    EXPECT_TRUE(of_it->process.executable->proven() && of_it->parent->executable->proven()) << "it is shared";
    return own->process.executable->unproven;
  };
  EXPECT_EQ(doubt([](bpf_task &) {}), std::nullopt);
  EXPECT_EQ(doubt([](bpf_task &t) { t.unusual = BPF_TASK_EXE_CHANGED; }), Unproven::exe_changed);
  EXPECT_EQ(doubt([](bpf_task &t) { t.unusual = BPF_TASK_USER_NAMESPACE; }), Unproven::other_namespace);
  EXPECT_EQ(doubt([](bpf_task &t) { t.unusual = BPF_TASK_TRACED; }), std::nullopt) << "the prober says so";
  EXPECT_EQ(doubt([](bpf_task &t) { t.mm = 0; }), Unproven::unreadable);
  EXPECT_EQ(doubt([](bpf_task &t) { t.tgid = 5; }), Unproven::unreadable);
  EXPECT_EQ(doubt([](bpf_task &t) { t.start_boottime = 80'000'000; }), Unproven::unreadable);
}

// What connected at 50 ns, having exec'd a file with device 8:1.
bpf_connection connection() {
  bpf_connection connection{};
  connection.connector = task();
  connection.connector.start_boottime = 70'000'000;
  connection.parent = task();
  connection.parent.tgid = 3;
  connection.parent.start_boottime = 30'000'000;
  connection.image.file = 0x1000;
  connection.image.device = (8u << 20) | 1u;
  connection.image.inode = 77;
  connection.image.stack_start = 5;
  connection.image.arg_start = 6;
  connection.parent_file = 0x2000;
  connection.connected_ns = 50;
  return connection;
}

struct Exec {
  pid_t tgid = 4;
  std::uint64_t start_ticks = 7;
  std::int64_t at = 50;
  FileId file{makedev(8, 1), 77};
  std::uint64_t stack_start = 5, arg_start = 6;
};

ExecRecord record_of(Exec const &exec) {
  ExecRecord record;
  record.time = MonotonicTime(std::chrono::nanoseconds(exec.at));
  record.tgid = exec.tgid;
  record.start_ticks = exec.start_ticks;
  auto process = std::make_shared<Process>();
  process->id.exec = {exec.file, "comm", exec.stack_start, exec.arg_start};
  record.process = process;
  return record;
}

TEST(BpfIdentity, OnlyItsOwnExecBroughtAboutWhatConnected) {
  EXPECT_TRUE(brought_about(record_of({}), connection()));
  Exec const others[] = {{.tgid = 3},           {.start_ticks = 8}, {.at = 51},       {.file = {makedev(8, 2), 77}},
                         {.file = {makedev(8, 1), 78}}, {.stack_start = 9}, {.arg_start = 9}};
  for (auto const &other : others) EXPECT_FALSE(brought_about(record_of(other), connection())) << &other - others;
  auto unknown = record_of({});
  unknown.process.reset();
  EXPECT_FALSE(brought_about(unknown, connection()));
}

TEST(BpfIdentity, ACopyOfItsParentIsWhatTheParentExecd) {
  auto copy = connection();
  EXPECT_FALSE(is_copy_of_parent(copy));
  copy.parent_file = copy.image.file;
  EXPECT_TRUE(is_copy_of_parent(copy));
  EXPECT_TRUE(brought_about(record_of({.tgid = 3, .start_ticks = 3}), copy));
  EXPECT_FALSE(brought_about(record_of({}), copy));
  copy.image.file = copy.parent_file = 0;  // neither could be looked at
  EXPECT_FALSE(is_copy_of_parent(copy));
}

TEST(BpfIdentity, InOtherMemoryHasBegunToExec) {
  auto now = task();
  now.mm = 9;
  EXPECT_FALSE(same_task(task(), now));
  EXPECT_FALSE(still_same_task(task(), now));
}

}  // namespace
}  // namespace imdsgate
