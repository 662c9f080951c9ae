// What the tracker's table makes of events, over processes that the test makes up.
#include "attribute/exec_table.hpp"

#include <gmock/gmock.h>

#include "images.hpp"
#include "scripted_processes.hpp"

namespace imdsgate::test {
namespace {

using What = ProcessEvent::What;
using ::testing::IsEmpty;

class ExecTableTest : public ::testing::Test {
 protected:
  ExecTableTest() {
    host_.there[1] = {1, 0, "/sbin/init", 1};
    host_.there[10] = {50, 1, "/bin/bash", 2};
    table_.scan();
  }
  ExecRecord apply_exec(ProcessEvent const &event) {
    auto const before = execs_.size();
    table_.apply(event);
    EXPECT_EQ(execs_.size(), before + 1);
    return execs_.empty() ? ExecRecord{} : execs_.back();
  }

  ScriptedProcesses host_;
  std::vector<ExecRecord> execs_;
  std::vector<ExitRecord> exits_;
  std::vector<LostRecord> lost_;
  ExecTable table_{host_.reader(), [this](TrackerRecord const &record) {
                     if (auto const *exec = std::get_if<ExecRecord>(&record)) execs_.push_back(*exec);
                     if (auto const *exit = std::get_if<ExitRecord>(&record)) exits_.push_back(*exit);
                     if (auto const *lost = std::get_if<LostRecord>(&record)) lost_.push_back(*lost);
                   }};
};

TEST_F(ExecTableTest, AnExecIsToldWithItsParent) {
  table_.apply(host_.fork(10, 20));
  auto const event = host_.exec(20, "/usr/bin/curl");
  auto const record = apply_exec(event);
  EXPECT_EQ(record.time, event.time);
  EXPECT_EQ(record.tgid, 20);
  EXPECT_EQ(record.exec_seq, 1u);
  EXPECT_EQ(exe(record.process), "/usr/bin/curl");
  EXPECT_EQ(record.start_ticks, host_.there[20].start_ticks);
  EXPECT_EQ(record.parent_tgid, 10);
  EXPECT_EQ(exe(record.parent), "/bin/bash");
  EXPECT_EQ(record.parent->entity_id, "10@50");
  EXPECT_FALSE(record.parent_at_fork);
  EXPECT_FALSE(record.earlier_unseen);
  EXPECT_EQ(apply_exec(host_.exec(20, "/usr/bin/id")).exec_seq, 2u);
}

// CLONE_PARENT: the connector says who the parent is, and not whose copy the child.
TEST_F(ExecTableTest, AForkThatIsNotItsParentsCopyIsUnknown) {
  table_.apply(host_.fork(10, 20));
  host_.there[20].stack = 99;
  table_.apply(host_.fork(20, 30));
  auto const record = apply_exec(host_.exec(30, "/usr/bin/curl"));
  EXPECT_EQ(record.parent_tgid, 20);
  EXPECT_EQ(exe(record.parent), "unknown");
}

TEST_F(ExecTableTest, TheScanTellsNothing) {
  EXPECT_THAT(execs_, IsEmpty());
  EXPECT_EQ(table_.size(), 2u);
}

TEST_F(ExecTableTest, AParentThatEndedBeforeTheExecIsStillTheParent) {
  table_.apply(host_.fork(10, 20));
  table_.apply(host_.exec(20, "/bin/sh"));
  table_.apply(host_.fork(20, 30));
  table_.apply(host_.exit(20));
  host_.there[30].parent = 1;  // adopted
  auto const record = apply_exec(host_.exec(30, "/usr/bin/curl"));
  EXPECT_EQ(record.parent_tgid, 20);
  EXPECT_EQ(exe(record.parent), "/bin/sh");
  EXPECT_EQ(record.process->parent_pid, 1);
}

TEST_F(ExecTableTest, OneThatForksWithoutExecIsWhatItsParentIsUnderItsOwnNumber) {
  table_.apply(host_.fork(10, 20));
  table_.apply(host_.fork(20, 30));
  auto const started = host_.there[20].start_ticks;
  table_.apply(host_.exit(20));
  auto const record = apply_exec(host_.exec(30, "/usr/bin/curl"));
  EXPECT_EQ(exe(record.parent), "/bin/bash");
  EXPECT_EQ(record.parent->id.tgid, 20);
  EXPECT_EQ(record.parent->entity_id, "20@" + std::to_string(started));
  EXPECT_EQ(record.parent->parent_pid, 10);
}

TEST_F(ExecTableTest, OneThatWasGoneBeforeItsForkWasLookedAtIsNobody) {
  auto const first = host_.fork(10, 20);
  auto const second = host_.fork(20, 30);
  auto const exit = host_.exit(20);
  for (auto const &event : {first, second, exit}) table_.apply(event);
  auto const record = apply_exec(host_.exec(30, "/usr/bin/curl"));
  EXPECT_EQ(record.parent_tgid, 20);
  EXPECT_FALSE(record.parent);
}

TEST_F(ExecTableTest, AZombieStillTellsWhenItStarted) {
  auto const first = host_.fork(10, 20);
  auto const second = host_.fork(20, 30);
  host_.there[20].state = 'Z';
  for (auto const &event : {first, second}) table_.apply(event);
  EXPECT_EQ(exe(apply_exec(host_.exec(30, "/usr/bin/curl")).parent), "/bin/bash");
}

TEST_F(ExecTableTest, TheParentAtForkIsToldWhenItExecdSince) {
  table_.apply(host_.fork(10, 20));
  table_.apply(host_.exec(10, "/usr/bin/amazon-ssm-agent"));
  auto const record = apply_exec(host_.exec(20, "/usr/bin/curl"));
  EXPECT_EQ(exe(record.parent), "/usr/bin/amazon-ssm-agent");
  EXPECT_EQ(exe(record.parent_at_fork), "/bin/bash");
}

TEST_F(ExecTableTest, AParentIsWhatItWasAtTheExecEvenIfItExecdBeforeThatWasLookedAt) {
  auto const fork = host_.fork(10, 20);
  auto const exec = host_.exec(20, "/usr/bin/curl");
  auto const parents = host_.exec(10, "/usr/bin/amazon-ssm-agent");
  table_.apply(fork);
  EXPECT_EQ(exe(apply_exec(exec).parent), "/bin/bash");
  EXPECT_EQ(exe(apply_exec(parents).process), "/usr/bin/amazon-ssm-agent");
}

TEST_F(ExecTableTest, OneThatIsGoneIsUnknown) {
  table_.apply(host_.fork(10, 20));
  auto const exec = host_.exec(20, "/usr/bin/curl");
  auto const exit = host_.exit(20);
  auto const record = apply_exec(exec);
  EXPECT_FALSE(record.process);
  EXPECT_FALSE(record.start_ticks);
  EXPECT_EQ(record.unknown, "it ended");
  EXPECT_EQ(record.parent->entity_id, "10@50");
  table_.apply(exit);
  EXPECT_THAT(exits_, IsEmpty()) << "nothing could be told under this identity";
  EXPECT_EQ(table_.counters().unknown, 1u);
}

TEST_F(ExecTableTest, ANumberThatIsAnothersByNowIsUnknown) {
  table_.apply(host_.fork(10, 20));
  auto const exec = host_.exec(20, "/usr/bin/curl");
  host_.exit(20);
  host_.now += 5s;
  host_.fork(1, 20);
  host_.there[20].exe = "/usr/bin/trusted";
  auto const record = apply_exec(exec);
  EXPECT_FALSE(record.process);
  EXPECT_FALSE(record.start_ticks);
}

TEST_F(ExecTableTest, ASecondExecBeforeTheFirstWasLookedAtMakesTheFirstUnseen) {
  table_.apply(host_.fork(10, 20));
  auto const first = host_.exec(20, "/usr/bin/curl");
  auto const second = host_.exec(20, "/usr/bin/id");
  EXPECT_EQ(exe(apply_exec(first).process), "/usr/bin/id") << "that is all there is to read";
  auto const record = apply_exec(second);
  EXPECT_EQ(exe(record.process), "/usr/bin/id");
  EXPECT_TRUE(record.earlier_unseen);
  EXPECT_FALSE(apply_exec(host_.exec(20, "/usr/bin/env")).earlier_unseen);
}

TEST_F(ExecTableTest, AThreadIsNoProcess) {
  table_.apply(host_.thread(10, 11));
  EXPECT_EQ(table_.size(), 2u);
  auto fork = host_.fork(10, 20);
  fork.pid = 11;  // by the thread
  table_.apply(fork);
  EXPECT_EQ(exe(apply_exec(host_.exec(20, "/usr/bin/curl")).parent), "/bin/bash");
}

// de_thread() in fs/exec.c: the leader ends, and the thread that execs takes its number.
TEST_F(ExecTableTest, AnExecByAThreadKeepsTheProcess) {
  table_.apply(host_.fork(10, 20));
  table_.apply(host_.exec(20, "/bin/first"));
  table_.apply(host_.thread(20, 21));
  table_.apply(host_.next(What::exit, 20, 20));  // the leader, while the thread lives
  auto const late = host_.next(What::exit, 21, 20);
  auto const record = apply_exec(host_.exec(20, "/bin/second"));
  EXPECT_EQ(record.exec_seq, 2u);
  EXPECT_EQ(record.parent_tgid, 10);
  table_.apply(late);
  EXPECT_THAT(exits_, IsEmpty());
  EXPECT_EQ(apply_exec(host_.exec(20, "/bin/third")).exec_seq, 3u);
  table_.apply(host_.exit(20));
  EXPECT_EQ(exits_.size(), 1u);
}

TEST_F(ExecTableTest, OneWithoutItsLeaderEndsWithItsLastThread) {
  table_.apply(host_.fork(10, 20));
  table_.apply(host_.exec(20, "/bin/first"));
  table_.apply(host_.thread(20, 21));
  host_.there[20].state = 'Z';
  table_.apply(host_.next(What::exit, 20, 20));
  table_.sweep();
  EXPECT_TRUE(table_.has_leaderless());
  EXPECT_THAT(exits_, IsEmpty());
  host_.there[20].threads = 1;
  table_.apply(host_.next(What::exit, 21, 20));
  EXPECT_EQ(exits_.size(), 1u);
  EXPECT_FALSE(table_.has_leaderless());
}

TEST_F(ExecTableTest, TheSweepFindsAnEndThatNoEventTold) {
  table_.apply(host_.fork(10, 20));
  table_.apply(host_.exec(20, "/bin/first"));
  table_.apply(host_.thread(20, 21));
  table_.apply(host_.next(What::exit, 20, 20));
  host_.there.erase(20);
  table_.sweep();
  EXPECT_FALSE(table_.has_leaderless());
  EXPECT_EQ(exits_.size(), 1u);
  EXPECT_EQ(table_.size(), 2u);
}

TEST_F(ExecTableTest, AReusedNumberIsAnotherProcess) {
  table_.apply(host_.fork(10, 20));
  auto const first = apply_exec(host_.exec(20, "/usr/bin/curl"));
  table_.apply(host_.exit(20));
  ASSERT_EQ(exits_.size(), 1u);
  EXPECT_EQ(exits_[0].start_ticks, first.start_ticks);
  host_.now += 5s;
  table_.apply(host_.fork(1, 20));
  auto const second = apply_exec(host_.exec(20, "/usr/bin/curl"));
  EXPECT_EQ(second.exec_seq, 1u);
  EXPECT_NE(second.process->entity_id, first.process->entity_id);
  EXPECT_EQ(exe(second.parent), "/sbin/init");
}

TEST_F(ExecTableTest, AReusedNumberWhoseExitWasLostIsAnotherProcess) {
  table_.apply(host_.fork(10, 20));
  auto const first = apply_exec(host_.exec(20, "/usr/bin/curl"));
  host_.exit(20);
  host_.now += 5s;
  table_.apply(host_.fork(1, 20));
  ASSERT_EQ(exits_.size(), 1u);
  EXPECT_EQ(exits_[0].start_ticks, first.start_ticks);
  EXPECT_EQ(apply_exec(host_.exec(20, "/usr/bin/curl")).exec_seq, 1u);
}

TEST_F(ExecTableTest, AParentsChangedCredentialsAreReadAgainForItsNextChild) {
  table_.apply(host_.fork(10, 20));
  host_.there[10].uid = 33;
  table_.apply(host_.next(What::credentials, 10, 10));
  table_.apply(host_.fork(10, 30));
  EXPECT_EQ(apply_exec(host_.exec(30, "/usr/bin/curl")).parent->effective_uid, 33u);
}

TEST_F(ExecTableTest, AParentThatWasTracedAndEndedProvesNothing) {
  table_.apply(host_.fork(10, 20));
  table_.apply(host_.exec(20, "/usr/bin/agent"));
  table_.apply(host_.fork(20, 30));
  table_.apply(host_.next(What::traced, 20, 20));
  table_.apply(host_.exit(20));
  auto const record = apply_exec(host_.exec(30, "/usr/bin/curl"));
  EXPECT_EQ(exe(record.parent), "/usr/bin/agent");
  EXPECT_EQ(record.parent->executable->unproven, Unproven::traced);
}

TEST_F(ExecTableTest, ALossIsToldAndWhatChangedIsFound) {
  table_.apply(host_.fork(10, 20));
  table_.apply(host_.exec(20, "/bin/unchanged"));
  table_.apply(host_.fork(10, 30));
  table_.apply(host_.exec(30, "/bin/before"));
  table_.apply(host_.fork(10, 40));
  table_.apply(host_.exec(40, "/bin/ends"));
  table_.apply(host_.fork(10, 45));
  execs_.clear();
  // These are not seen.
  auto const from = host_.now;
  host_.exec(30, "/bin/after");
  host_.exit(40);
  host_.fork(10, 50);
  host_.exec(50, "/bin/new");
  host_.fork(10, 60);  // and no exec
  auto loss = host_.next(What::lost, 0, 0);
  loss.since = from;
  loss.count = 6;
  table_.apply(loss);
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].from, from);
  EXPECT_EQ(lost_[0].to, loss.time);
  EXPECT_EQ(lost_[0].events, 6u);
  ASSERT_TRUE(table_.needs_scan());
  table_.scan();
  EXPECT_FALSE(table_.needs_scan());
  std::map<pid_t, std::string> found;
  for (auto const &record : execs_) {
    EXPECT_TRUE(record.found_later);
    EXPECT_EQ(record.parent->entity_id, "10@50");
    found[record.tgid] = exe(record.process);
  }
  EXPECT_EQ(found, (std::map<pid_t, std::string>{{30, "/bin/after"}, {50, "/bin/new"}}));
  ASSERT_EQ(exits_.size(), 1u);
  EXPECT_EQ(exits_[0].tgid, 40);
}

TEST_F(ExecTableTest, EventsOlderThanTheScanDoNotUndoIt) {
  auto const fork = host_.fork(10, 20);
  auto const exit_of_who_had_it_before = host_.next(What::exit, 20, 20);
  auto const exec = host_.exec(20, "/usr/bin/curl");
  host_.now += 1ms;
  table_.scan();
  execs_.clear();
  table_.apply(fork);
  table_.apply(exit_of_who_had_it_before);
  auto const record = apply_exec(exec);
  EXPECT_EQ(exe(record.process), "/usr/bin/curl");
  EXPECT_EQ(record.parent_tgid, 10);
  EXPECT_EQ(table_.size(), 3u);
}

TEST_F(ExecTableTest, AForkReadsNothingOfAParentThatIsKnown) {
  host_.described = host_.looked_at = 0;
  for (pid_t pid = 20; pid < 40; ++pid) table_.apply(host_.fork(10, pid));
  EXPECT_EQ(host_.described, 0);
  EXPECT_EQ(host_.looked_at, 0);
  apply_exec(host_.exec(20, "/usr/bin/curl"));
  EXPECT_EQ(host_.described, 1);
}

TEST_F(ExecTableTest, IsBounded) {
  ExecTable table(
      host_.reader(),
      [this](TrackerRecord const &record) {
        if (auto const *exec = std::get_if<ExecRecord>(&record)) execs_.push_back(*exec);
      },
      4);
  table.scan();
  for (pid_t pid = 20; pid < 30; ++pid) table.apply(host_.fork(10, pid));
  EXPECT_EQ(table.size(), 4u);
  EXPECT_EQ(table.counters().untracked, 8u);
  table.apply(host_.exec(29, "/usr/bin/curl"));
  EXPECT_EQ(exe(execs_.back().process), "/usr/bin/curl") << "told all the same";
  EXPECT_EQ(execs_.back().parent_tgid, 10);
}

}  // namespace
}  // namespace imdsgate::test
