#include "attribute/codec_exec.hpp"

#include <gtest/gtest.h>

#include <random>

namespace imdsgate {
namespace {

Process some_process(pid_t pid) {
  Process process;
  process.id = {pid, 77, {{5, 6}, "comm", 8, 9}};
  process.entity_id = "entity" + std::to_string(pid);
  process.executable = Executable{"/usr/bin/curl", true, Unproven::exe_replaced};
  process.args = {"curl", std::string("\0x", 2)};
  process.working_directory = "/tmp";
  return process;
}

ExecRecord some_exec() {
  ExecRecord record;
  record.time = MonotonicTime(std::chrono::nanoseconds(123456789));
  record.tgid = 10;
  record.exec_seq = 3;
  record.start_ticks = 77;
  record.process = some_process(10);
  record.parent_tgid = 9;
  record.parent = some_process(9);
  record.parent_at_fork = some_process(9);
  record.parent_at_fork->entity_id = "at fork";
  record.earlier_unseen = true;
  record.found_later = true;
  return record;
}

TEST(CodecExec, AnExecComesBackAsItWas) {
  auto const decoded = decode_record(encode(some_exec()));
  ASSERT_TRUE(decoded);
  auto const &exec = std::get<ExecRecord>(*decoded);
  EXPECT_EQ(exec.time, some_exec().time);
  EXPECT_EQ(exec.tgid, 10);
  EXPECT_EQ(exec.exec_seq, 3u);
  EXPECT_EQ(exec.start_ticks, 77u);
  EXPECT_EQ(exec.process->id, some_exec().process->id);
  EXPECT_EQ(exec.process->args, some_exec().process->args);
  EXPECT_EQ(exec.parent_tgid, 9);
  EXPECT_EQ(exec.parent->entity_id, "entity9");
  EXPECT_EQ(exec.parent_at_fork->entity_id, "at fork");
  EXPECT_TRUE(exec.earlier_unseen);
  EXPECT_TRUE(exec.found_later);
}

TEST(CodecExec, TheOthersComeBackAsTheyWere) {
  MonotonicTime const from(std::chrono::nanoseconds(5)), to(std::chrono::nanoseconds(9));
  auto const exit = decode_record(encode(ExitRecord{from, 4, 5}));
  ASSERT_TRUE(exit);
  EXPECT_EQ(std::get<ExitRecord>(*exit).start_ticks, 5u);
  auto const lost = decode_record(encode(LostRecord{from, to, 6}));
  ASSERT_TRUE(lost);
  EXPECT_EQ(std::get<LostRecord>(*lost).to, to);
  EXPECT_EQ(std::get<LostRecord>(*lost).events, 6u);
  auto const ready = decode_record(encode(ReadyRecord{to, 7}));
  ASSERT_TRUE(ready);
  EXPECT_EQ(std::get<ReadyRecord>(*ready).processes, 7u);
  auto const barrier = decode_record(encode(BarrierRecord{8}));
  ASSERT_TRUE(barrier);
  EXPECT_EQ(std::get<BarrierRecord>(*barrier).number, 8u);
}

TEST(CodecExec, WhatIsCutOrLongerIsNoRecord) {
  auto const bytes = encode(some_exec());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_record(std::span(bytes).first(size))) << size;
  }
  auto longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(decode_record(longer));
}

TEST(CodecExec, AProcessUnderAnothersNumberIsNoRecord) {
  auto record = some_exec();
  record.tgid = 11;
  EXPECT_FALSE(decode_record(encode(record)));
  record = some_exec();
  record.start_ticks = 78;
  EXPECT_FALSE(decode_record(encode(record)));
  record.start_ticks.reset();
  EXPECT_FALSE(decode_record(encode(record)));
}

TEST(CodecExec, OneThatIsTooLongLosesItsParentsFirst) {
  auto record = some_exec();
  record.parent_at_fork->cgroup.assign(60000, 'a');
  record.parent->cgroup.assign(60000, 'a');
  record.process->cgroup.assign(60000, 'a');
  auto const bytes = encode(record);
  EXPECT_LE(bytes.size(), kMaxMessage);
  auto const decoded = decode_record(bytes);
  ASSERT_TRUE(decoded);
  auto const &exec = std::get<ExecRecord>(*decoded);
  EXPECT_FALSE(exec.parent_at_fork);
  EXPECT_TRUE(exec.parent);
  EXPECT_TRUE(exec.process);
  EXPECT_EQ(exec.unknown, "");
  record.process->cgroup.assign(kMaxMessage, 'a');
  auto const unknown = decode_record(encode(record));
  ASSERT_TRUE(unknown);
  EXPECT_FALSE(std::get<ExecRecord>(*unknown).process);
  EXPECT_NE(std::get<ExecRecord>(*unknown).unknown, "");
}

// Whatever the bytes, it ends, and what decodes encodes to the same.
TEST(CodecExec, AnyBytesAreDecodedOrRefused) {
  std::mt19937 random(20260101);
  auto const original = encode(some_exec());
  int decoded = 0;
  for (int i = 0; i < 20000; ++i) {
    auto bytes = original;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    }
    auto const record = decode_record(bytes);
    if (!record) continue;
    ++decoded;
    EXPECT_EQ(encode(*record), bytes);
  }
  EXPECT_GT(decoded, 0);
}

}  // namespace
}  // namespace imdsgate
