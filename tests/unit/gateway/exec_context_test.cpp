#include "gateway/exec_context.hpp"

#include <gmock/gmock.h>

#include "unit/gateway/told_execs.hpp"

namespace imdsgate {
namespace {

using namespace std::chrono_literals;
using namespace test;
using testing::SizeIs;

Process known_as(Process process, std::string entity_id, pid_t pid) {
  process.entity_id = std::move(entity_id);
  process.id.tgid = pid;
  process.id.start_ticks = 100;
  return process;
}

std::shared_ptr<Rule const> sequence_rule() {
  auto loaded = load_rule(
      "id: r\nname: r\nquery: |\n  sequence by process.parent.entity_id with maxspan=1s "
      "[process where process.name == \"curl\"] [network where true]\n",
      "r.yaml");
  EXPECT_TRUE(loaded.rule);
  return loaded.rule;
}

class ExecContextTest : public testing::Test {
 protected:
  ExecContextTest() { context_.use({sequence_rule()}); }

  LineagePtr as_read(std::optional<Process> parent) const {
    auto lineage = std::make_shared<Lineage>();
    lineage->process = self_;
    lineage->parent = std::move(parent);
    return lineage;
  }

  boost::asio::io_context loop_;
  ToldExecs execs_{loop_};
  ExecContext context_{execs_.events(), {"host-1", "imds-1"}};
  Process const shell_ = known_as(process("/usr/bin/bash", "bash", 1000), "e-shell", 10);
  Process const init_ = known_as(process("/usr/lib/systemd/systemd", "init", 0), "e-init", 1);
  Process const self_ = known_as(process("/usr/bin/python3.11", "innocent", 1000), "e-self", 11);
  Process const exec_ =
      known_as(process("/usr/bin/python3.11", "python3", 1000, {"/tmp/x.py"}), "e-self", 11);
};

TEST_F(ExecContextTest, OfWhomNothingWasToldNothingIsAdded) {
  auto const who = as_read(shell_);
  EXPECT_EQ(context_.with_exec(who), who);
  EXPECT_FALSE(context_.has_exec_after(self_, at(0ms)));
}

TEST_F(ExecContextTest, WhatWasRecordedIsAddedOnce) {
  execs_.tell(exec_of(exec_, shell_, at(1000ms)));
  auto const who = as_read(shell_);
  auto const known = context_.with_exec(who);
  ASSERT_TRUE(known->process.at_exec);
  EXPECT_EQ(known->process.at_exec->args, exec_.args);
  EXPECT_EQ(known->process.args, self_.args);
  EXPECT_EQ(known->process.exec_seq, 1u);
  EXPECT_THAT(known->former_parents, SizeIs(1)) << "the same parent, as it was then";
  EXPECT_EQ(context_.with_exec(who), known);
  execs_.tell(exec_of(self_, shell_, at(2000ms)));
  EXPECT_NE(context_.with_exec(who), known) << "it has exec'd again";
}

// PR_SET_MM_MAP of prctl(2) gives a process any file for its executable.
TEST_F(ExecContextTest, AnExecutableThatWasNotExecdIsNotProven) {
  struct {
    char const *execd;
    std::uint64_t inode;
    std::optional<Unproven> recorded, why;
  } const rows[] = {
      {"/usr/bin/python3.11", 7, std::nullopt, std::nullopt},
      {"/tmp/tool", 7, Unproven::exe_replaced, std::nullopt},  // renamed since
      {"/tmp/tool", 8, std::nullopt, Unproven::exe_changed},
      {"/usr/bin/python3.11", 8, std::nullopt, std::nullopt},  // numbered otherwise within the kernel
      {"/usr/bin/python3.11", 8, Unproven::other_file, Unproven::exe_changed},
  };
  for (auto const &row : rows) {
    auto then = exec_;
    then.executable = Executable{row.execd, false, row.recorded};
    then.id.exec.executable = {1, row.inode};
    auto now = std::make_shared<Lineage>(*as_read(shell_));
    now->process.id.exec.executable = {1, 7};
    ASSERT_TRUE(now->process.executable->proven());
    execs_.tell(exec_of(then, shell_, at(1000ms)));
    EXPECT_EQ(context_.with_exec(now)->process.executable->unproven, row.why) << &row - rows;
  }
}

TEST_F(ExecContextTest, WhoEndedIsAsItWasRecordedWhoeverHasItsNumberNow) {
  execs_.tell(exec_of(exec_, shell_, at(1000ms)));
  auto gone = std::make_shared<Lineage>(*as_read(shell_));
  gone->process.at_exec = std::make_shared<Process const>(self_);
  EXPECT_EQ(context_.with_exec(gone), gone);
}

TEST_F(ExecContextTest, WhoAdoptedItIsNotItsParent) {
  execs_.tell(exec_of(exec_, shell_, at(1000ms)));
  auto const known = context_.with_exec(as_read(init_));
  ASSERT_TRUE(known->parent);
  EXPECT_EQ(known->parent->entity_id, "e-shell");
}

TEST_F(ExecContextTest, TheParentAtTheForkIsKept) {
  auto record = exec_of(exec_, shell_, at(1000ms));
  record.parent_at_fork = std::make_shared<Process const>(known_as(process("/tmp/dropped", "dropped", 1000), "e-shell", 10));
  execs_.tell(record);
  auto const known = context_.with_exec(as_read(shell_));
  ASSERT_THAT(known->former_parents, SizeIs(2));
  EXPECT_EQ(known->former_parents.back()->executable->path, "/tmp/dropped");
}

TEST_F(ExecContextTest, KnowsAnExecAfterAMoment) {
  execs_.tell(exec_of(exec_, shell_, at(1000ms)));
  EXPECT_TRUE(context_.has_exec_after(self_, at(999ms)));
  EXPECT_FALSE(context_.has_exec_after(self_, at(1000ms)));
  auto another = self_;
  another.id.start_ticks = 101;
  EXPECT_FALSE(context_.has_exec_after(another, at(0ms))) << "the pid was given away";
}

TEST_F(ExecContextTest, ExecsReachTheRules) {
  auto const curl = known_as(process("/usr/bin/curl", "curl", 1000), "e-curl", 12);
  execs_.tell(exec_of(curl, shell_, at(1000ms)));
  Attribution who;
  who.holders = {as_read(shell_)};
  EXPECT_THAT(context_.rules().connected({at(1500ms), {}}, who, "169.254.169.254:80"), SizeIs(1));
}

TEST_F(ExecContextTest, SaysWhatMayBeMissing) {
  Attribution who;
  who.holders = {as_read(shell_)};
  EXPECT_EQ(context_.missing(who, at(5000ms)), MissingExecs::unread) << "nobody has begun to listen";
  execs_.events()->history().lost(at(4500ms), at(4600ms));
  EXPECT_EQ(context_.missing(who, at(5000ms)), MissingExecs::lost);
  EXPECT_EQ(context_.missing(who, at(4400ms)), MissingExecs::unread) << "before the loss";
  context_.use({});
  EXPECT_EQ(context_.missing(who, at(5000ms)), MissingExecs::none) << "no rule asks";
}

// With a maxspan of an hour the history is too small for a busy host; the rules were told all the same.
TEST_F(ExecContextTest, WhatTheRulesWereToldIsNotLostForThem) {
  Attribution who;
  who.holders = {as_read(shell_)};
  auto const limit = static_cast<int>(ExecHistoryOptions{}.recent);
  for (int i = 0; i <= limit; ++i) execs_.tell(exec_of(exec_, shell_, at(1000ms)));
  ASSERT_TRUE(execs_.events()->history().unknown_since(at(1000ms), at(1000ms)));
  EXPECT_TRUE(context_.may_miss_exec_after(at(1000ms))) << "a holder's exec may be forgotten";
  EXPECT_NE(context_.missing(who, at(1500ms)), MissingExecs::lost);
  context_.use({sequence_rule()});
  EXPECT_EQ(context_.missing(who, at(1500ms)), MissingExecs::lost) << "these rules were not told";
  EXPECT_NE(context_.missing(who, at(2001ms)), MissingExecs::lost);
}

TEST(ExecContextWithoutEvents, AddsNothingAndMissesNothing) {
  ExecContext context(nullptr, HostInfo{"host-1", "imds-1"});
  context.use({sequence_rule()});
  auto const who = person("curl");
  EXPECT_EQ(context.with_exec(who), who);
  Attribution attribution;
  attribution.holders = {who};
  EXPECT_EQ(context.missing(attribution, at(5000ms)), MissingExecs::none);
}

}  // namespace
}  // namespace imdsgate
