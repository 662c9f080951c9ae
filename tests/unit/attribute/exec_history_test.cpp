#include "attribute/exec_history.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using namespace std::chrono_literals;

MonotonicTime at(std::chrono::milliseconds time) {
  return MonotonicTime(1000s + time);
}

ImagePtr image_of(pid_t tgid, std::uint64_t start_ticks) {
  auto image = std::make_shared<Process>();
  image->id.tgid = tgid;
  image->id.start_ticks = start_ticks;
  return image;
}

ExecRecord exec_of(pid_t tgid, MonotonicTime time, std::uint32_t exec_seq = 1) {
  ExecRecord record;
  record.time = time;
  record.tgid = tgid;
  record.exec_seq = exec_seq;
  record.start_ticks = 7;
  record.process = image_of(tgid, 7);
  record.parent_tgid = 1;
  record.parent = image_of(1, 3);
  return record;
}
ExecRecord unknown_exec(pid_t tgid, MonotonicTime time) {
  auto record = exec_of(tgid, time);
  record.process.reset();
  record.start_ticks.reset();
  return record;
}
void add(ExecHistory &history, ExecRecord record) {
  history.add(std::make_shared<ExecRecord const>(std::move(record)));
}

TEST(ExecHistory, FindsTheLastExecOfAProcess) {
  ExecHistory history;
  add(history, exec_of(5, at(0ms), 1));
  add(history, exec_of(5, at(1ms), 2));
  ASSERT_TRUE(history.find(5, 7));
  EXPECT_EQ(history.find(5, 7)->exec_seq, 2u);
  EXPECT_FALSE(history.find(5, 8)) << "another that had the number";
  EXPECT_EQ(history.recent().size(), 2u);
}

TEST(ExecHistory, FindsTheLastExecByATime) {
  ExecHistory history;
  for (std::uint32_t exec = 1; exec <= 3; ++exec) add(history, exec_of(5, at(exec * 1ms), exec));
  add(history, exec_of(6, at(2ms), 9));
  ASSERT_TRUE(history.find(5, 7, at(2ms)));
  EXPECT_EQ(history.find(5, 7, at(2ms))->exec_seq, 2u);
  EXPECT_EQ(history.find(5, 7, at(9ms))->exec_seq, 3u);
  EXPECT_FALSE(history.find(5, 7, at(0ms)));
  EXPECT_FALSE(history.find(5, 8, at(9ms)));
}

TEST(ExecHistory, RemembersTheDeadForAsLongAsItIsTold) {
  ExecHistory history({.retain = 2000ms});
  add(history, exec_of(5, at(0ms)));
  add(history, exec_of(6, at(0ms)));
  history.ended({at(100ms), 5, 7});
  history.ended({at(100ms), 5, 8});  // nobody
  history.expire(at(2100ms));
  EXPECT_TRUE(history.find(5, 7));
  EXPECT_TRUE(history.recent().empty());
  history.expire(at(2101ms));
  EXPECT_FALSE(history.find(5, 7));
  EXPECT_TRUE(history.find(6, 7)) << "it is alive";
}

TEST(ExecHistory, OneThatExecsAfterItsEndIsAlive) {
  ExecHistory history({.retain = 2000ms});
  add(history, exec_of(5, at(0ms), 1));
  history.ended({at(100ms), 5, 7});
  add(history, exec_of(5, at(101ms), 2));
  history.expire(at(9000ms));
  EXPECT_TRUE(history.find(5, 7));
}

TEST(ExecHistory, ALossMakesItsSpanUnknown) {
  ExecHistory history({.retain = 2000ms});
  history.lost(at(10ms), at(20ms));
  EXPECT_FALSE(history.unknown_since(at(0ms), at(9ms)));
  EXPECT_TRUE(history.unknown_since(at(0ms), at(10ms)));
  EXPECT_TRUE(history.unknown_since(at(15ms), at(15ms)));
  EXPECT_TRUE(history.unknown_since(at(20ms), at(30ms)));
  EXPECT_FALSE(history.unknown_since(at(21ms), at(30ms)));
  history.expire(at(2021ms));
  EXPECT_FALSE(history.unknown_since(at(10ms), at(20ms)));
}

TEST(ExecHistory, ManyLossesBecomeFewerAndNoneIsForgotten) {
  ExecHistory history({.retain = 60000ms});
  for (int i = 0; i < 1000; ++i) history.lost(at(i * 10ms), at(i * 10ms + 1ms));
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(history.unknown_since(at(i * 10ms), at(i * 10ms))) << i;
  EXPECT_FALSE(history.unknown_since(at(9992ms), at(9999ms)));
}

TEST(ExecHistory, AnExecThatCouldNotBeReadIsUnknownUnderItsParent) {
  ExecHistory history;
  add(history, unknown_exec(5, at(10ms)));
  EXPECT_TRUE(history.unknown_under(1, 3, at(0ms), at(10ms)));
  EXPECT_FALSE(history.unknown_under(1, 3, at(0ms), at(9ms)));
  EXPECT_FALSE(history.unknown_under(1, 4, at(0ms), at(10ms)));
  EXPECT_FALSE(history.unknown_under(2, 3, at(0ms), at(10ms)));
  EXPECT_FALSE(history.unknown_since(at(0ms), at(20ms))) << "it was seen";
  EXPECT_EQ(history.counters().unknown, 1u);
}

TEST(ExecHistory, AnEarlierExecThatWasNotSeenIsUnknownSinceItsTime) {
  ExecHistory history;
  add(history, exec_of(5, at(10ms), 1));
  auto second = exec_of(5, at(20ms), 2);
  second.earlier_unseen = true;
  add(history, second);
  EXPECT_TRUE(history.unknown_under(1, 3, at(0ms), at(10ms)));
  EXPECT_FALSE(history.unknown_under(1, 3, at(0ms), at(9ms)));
}

TEST(ExecHistory, WhatTheLimitDropsIsUnknownAndCounted) {
  ExecHistory history({.retain = 60000ms, .processes = 2, .recent = 3});
  for (int i = 0; i < 4; ++i) add(history, exec_of(5, at(i * 1ms), static_cast<std::uint32_t>(i)));
  EXPECT_EQ(history.recent().size(), 3u);
  EXPECT_EQ(history.counters().dropped_recent, 1u);
  EXPECT_TRUE(history.unknown_since(at(0ms), at(0ms)));
  EXPECT_FALSE(history.unknown_since(at(1ms), at(9ms)));
  EXPECT_EQ(history.dropped_until(), at(0ms));
  add(history, exec_of(6, at(10ms)));
  add(history, exec_of(7, at(11ms)));
  EXPECT_EQ(history.processes(), 2u);
  EXPECT_EQ(history.counters().refused_processes, 1u);
  EXPECT_TRUE(history.unknown_since(at(11ms), at(11ms)));
  history.ended({at(12ms), 6, 7});
  add(history, exec_of(8, at(13ms)));
  EXPECT_TRUE(history.find(8, 7)) << "the dead make room";
  EXPECT_FALSE(history.find(6, 7));
  EXPECT_EQ(history.counters().buried_early, 1u);
  EXPECT_TRUE(history.unknown_since(at(10ms), at(10ms))) << "what the buried one did";
  EXPECT_FALSE(history.lost_since(at(0ms), at(99ms))) << "it was told when it happened";
  history.expire(at(60000ms) + 14ms);
  EXPECT_FALSE(history.unknown_since(at(0ms), at(12ms)));
}

}  // namespace
}  // namespace imdsgate
