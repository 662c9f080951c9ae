// The tracker's table over events of a source that looks in the kernel: nothing is read from a process.
#include <gtest/gtest.h>

#include "images.hpp"
#include "scripted_processes.hpp"

namespace imdsgate::test {
namespace {

class KernelExecTable : public ::testing::Test {
 protected:
  KernelExecTable() {
    host_.there[1] = {1, 0, "/sbin/init", 1};
    host_.there[10] = {50, 1, "/bin/bash", 2};
    table_.scan();
    host_.described = host_.looked_at = 0;
  }
  ExecRecord apply(ProcessEvent const &event) {
    table_.apply(event);
    return execs_.empty() ? ExecRecord{} : execs_.back();
  }

  ScriptedProcesses host_;
  std::vector<ExecRecord> execs_;
  ExecTable table_{host_.reader(), [this](TrackerRecord const &record) {
                     if (auto const *exec = std::get_if<ExecRecord>(&record)) execs_.push_back(*exec);
                   }};
};

TEST_F(KernelExecTable, FilesAndAccountsAreLookedAtOnceABatch) {
  std::vector const events{host_.kernel_fork(10, 20), host_.kernel_exec(20, "/usr/bin/curl"),
                           host_.kernel_exec(20, "/usr/bin/id")};
  table_.apply(events);
  EXPECT_EQ(host_.batches, 1);
  apply(host_.kernel_exec(20, "/usr/bin/curl"));
  EXPECT_EQ(host_.batches, 2);
}

TEST_F(KernelExecTable, AnExecIsWhatWasWrittenDown) {
  table_.apply(host_.kernel_fork(10, 20));
  auto const event = host_.kernel_exec(20, "/usr/bin/curl");
  host_.there.erase(20);  // gone before anybody looks
  auto const record = apply(event);
  EXPECT_EQ(exe(record.process), "/usr/bin/curl");
  EXPECT_EQ(exe(record.parent), "/bin/bash");
  EXPECT_EQ(host_.described + host_.looked_at, 0);
}

TEST_F(KernelExecTable, AChildIsItsParentsCopyUntilItExecs) {
  table_.apply(host_.kernel_fork(10, 20));
  table_.apply(host_.kernel_fork(20, 30));
  auto const record = apply(host_.kernel_exec(30, "/usr/bin/curl"));
  EXPECT_EQ(record.parent_tgid, 20);
  EXPECT_EQ(exe(record.parent), "/bin/bash");
  EXPECT_EQ(host_.described + host_.looked_at, 0);
}

// Losses: neither the end of the one nor the beginning of the other was told.
TEST_F(KernelExecTable, AnotherProcessUnderTheNumberHasNothingOfTheFirst) {
  table_.apply(host_.kernel_fork(10, 20));
  apply(host_.kernel_exec(20, "/usr/bin/curl"));
  host_.now += 5s;
  host_.there[20] = {host_.ticks(), 1, "", 0};
  auto const record = apply(host_.kernel_exec(20, "/usr/bin/id"));
  EXPECT_EQ(record.exec_seq, 1u);
  EXPECT_EQ(record.start_ticks, host_.there[20].start_ticks);
  EXPECT_EQ(record.parent_tgid, 1);
  EXPECT_EQ(exe(record.parent), "/sbin/init");
}

TEST_F(KernelExecTable, AParentUnderAnothersNumberIsNotTheOther) {
  host_.now += 5s;
  host_.there[10] = {host_.ticks(), 1, "/usr/bin/python3", 77};
  table_.apply(host_.kernel_fork(10, 20));
  EXPECT_EQ(exe(apply(host_.kernel_exec(20, "/usr/bin/curl")).parent), "unknown");
}

// clone(2) with CLONE_PARENT: the child of one process, the copy of another.
TEST_F(KernelExecTable, ASiblingsCopyIsNotItsParents) {
  table_.apply(host_.kernel_fork(1, 20));
  apply(host_.kernel_exec(20, "/tmp/tool"));
  auto copy = host_.kernel_fork(1, 30);
  copy.copied_from = 20;
  table_.apply(copy);
  table_.apply(host_.kernel_fork(30, 40));
  auto const record = apply(host_.kernel_exec(40, "/usr/bin/curl"));
  EXPECT_EQ(record.parent_tgid, 30);
  EXPECT_EQ(exe(record.parent), "/tmp/tool");
}

TEST_F(KernelExecTable, AParentsUserAndTracerAreThoseOfTheMoment) {
  auto fork = host_.kernel_fork(10, 20);
  fork.parent->traced = true;
  fork.parent->effective_uid = 33;
  table_.apply(fork);
  auto const record = apply(host_.kernel_exec(20, "/usr/bin/curl"));
  ASSERT_TRUE(record.parent_at_fork || record.parent);
  auto const &at_fork = record.parent_at_fork ? *record.parent_at_fork : *record.parent;
  EXPECT_EQ(at_fork.executable->unproven, Unproven::traced);
}

TEST_F(KernelExecTable, AParentsExecutableThatItDidNotExecIsNotProven) {
  auto fork = host_.kernel_fork(10, 20);
  fork.parent->exe_changed = true;
  table_.apply(fork);
  auto const record = apply(host_.kernel_exec(20, "/usr/bin/curl"));
  ASSERT_TRUE(record.parent);
  EXPECT_EQ(record.parent->executable->unproven, Unproven::exe_changed);
}

TEST_F(KernelExecTable, AParentThatBecameAnotherUserSinceTheForkIsThatAtTheExec) {
  table_.apply(host_.kernel_fork(10, 20));
  host_.there[10].uid = 33;
  auto const record = apply(host_.kernel_exec(20, "/usr/bin/curl"));
  ASSERT_TRUE(record.parent);
  EXPECT_EQ(record.parent->effective_uid, 33u);
}

}  // namespace
}  // namespace imdsgate::test
