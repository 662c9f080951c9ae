#include "attribute/codec_exec.hpp"

#include <gtest/gtest.h>

#include <random>

namespace imdsgate {
namespace {

using ProcessPtr = std::shared_ptr<Process>;

ProcessPtr some_process(pid_t pid, std::size_t cgroup_size = 0) {
  auto const shared = std::make_shared<Process>();
  auto &process = *shared;
  process.cgroup.assign(cgroup_size, 'a');
  process.id = {pid, 77, {{5, 6}, "comm", 8, 9}};
  process.entity_id = "entity" + std::to_string(pid);
  process.executable = Executable{"/usr/bin/curl", true, Unproven::exe_replaced};
  process.args = {"curl", std::string("\0x", 2)};
  process.working_directory = "/tmp";
  return shared;
}

Bytes encode(TrackerRecord const &record) {
  RecordWriter writer;
  writer.add(record);
  return writer.take();
}

std::optional<TrackerRecord> decode(std::span<std::uint8_t const> datagram) {
  RecordReader reader(datagram);
  auto record = reader.next();
  return reader.done() ? record : std::nullopt;
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
  auto const at_fork = some_process(9);
  at_fork->entity_id = "at fork";
  record.parent_at_fork = at_fork;
  record.earlier_unseen = true;
  record.found_later = true;
  return record;
}

TEST(CodecExec, AnExecComesBackAsItWas) {
  auto const decoded = decode(encode(some_exec()));
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
  auto const exit = decode(encode(ExitRecord{from, 4, 5}));
  ASSERT_TRUE(exit);
  EXPECT_EQ(std::get<ExitRecord>(*exit).start_ticks, 5u);
  auto const lost = decode(encode(LostRecord{from, to, 6}));
  ASSERT_TRUE(lost);
  EXPECT_EQ(std::get<LostRecord>(*lost).to, to);
  EXPECT_EQ(std::get<LostRecord>(*lost).events, 6u);
  auto const ready = decode(encode(ReadyRecord{to, 7}));
  ASSERT_TRUE(ready);
  EXPECT_EQ(std::get<ReadyRecord>(*ready).processes, 7u);
  auto const barrier = decode(encode(BarrierRecord{8}));
  ASSERT_TRUE(barrier);
  EXPECT_EQ(std::get<BarrierRecord>(*barrier).number, 8u);
}

TEST(CodecExec, WhatIsCutOrLongerIsNoRecord) {
  auto const bytes = encode(some_exec());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode(std::span(bytes).first(size))) << size;
  }
  auto longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(decode(longer));
}

TEST(CodecExec, AProcessUnderAnothersNumberIsNoRecord) {
  auto record = some_exec();
  record.tgid = 11;
  EXPECT_FALSE(decode(encode(record)));
  record = some_exec();
  record.start_ticks = 78;
  EXPECT_FALSE(decode(encode(record)));
  record.start_ticks.reset();
  EXPECT_FALSE(decode(encode(record)));
}

TEST(CodecExec, OneThatIsTooLongLosesItsParentsFirst) {
  auto record = some_exec();
  record.parent_at_fork = some_process(9, 60000);
  record.parent = some_process(9, 60000);
  record.process = some_process(10, 60000);
  auto const bytes = encode(record);
  EXPECT_LE(bytes.size(), kMaxMessage + sizeof(std::uint32_t));
  auto const decoded = decode(bytes);
  ASSERT_TRUE(decoded);
  auto const &exec = std::get<ExecRecord>(*decoded);
  EXPECT_FALSE(exec.parent_at_fork);
  EXPECT_TRUE(exec.parent);
  EXPECT_TRUE(exec.process);
  EXPECT_EQ(exec.unknown, "");
  record.process = some_process(10, kMaxMessage);
  auto const unknown = decode(encode(record));
  ASSERT_TRUE(unknown);
  EXPECT_FALSE(std::get<ExecRecord>(*unknown).process);
  EXPECT_NE(std::get<ExecRecord>(*unknown).unknown, "");
}

std::vector<ExecRecord> execs_in(Bytes const &datagram) {
  std::vector<ExecRecord> execs;
  for (RecordReader reader(datagram); !reader.done();) {
    auto record = reader.next();
    EXPECT_TRUE(record);
    if (!record) break;
    if (auto *exec = std::get_if<ExecRecord>(&*record)) execs.push_back(std::move(*exec));
  }
  return execs;
}

TEST(CodecExec, AParentIsWrittenOnceADatagram) {
  RecordWriter writer;
  writer.add(some_exec());
  auto const whole = writer.take().size();
  auto const record = some_exec();
  auto other = some_exec();
  writer.add(record);
  writer.add(ExitRecord{});
  writer.add(record);
  writer.add(other);
  auto const datagram = writer.take();
  EXPECT_LT(datagram.size(), 3 * whole);
  auto const execs = execs_in(datagram);
  ASSERT_EQ(execs.size(), 3u);
  EXPECT_EQ(execs[1].parent, execs[0].parent);
  EXPECT_EQ(execs[1].parent->entity_id, "entity9");
  EXPECT_NE(execs[2].parent, execs[0].parent);
  writer.add(record);  // a datagram stands by itself
  auto const next = execs_in(writer.take());
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].parent->entity_id, "entity9");
}

// What was cut off a record is not there for the next to lean on.
TEST(CodecExec, AParentThatWasCutOffIsWrittenWithTheNext) {
  auto record = some_exec();
  record.parent_at_fork = nullptr;
  record.process = some_process(10, kMaxMessage - 300);
  RecordWriter writer;
  writer.add(record);
  record.process = some_process(10);
  writer.add(record);
  auto const execs = execs_in(writer.take());
  ASSERT_EQ(execs.size(), 2u);
  EXPECT_FALSE(execs[0].parent);
  ASSERT_TRUE(execs[1].parent);
  EXPECT_EQ(execs[1].parent->entity_id, "entity9");
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
    auto const record = decode(bytes);
    if (!record) continue;
    ++decoded;
    EXPECT_EQ(encode(*record), bytes);
  }
  EXPECT_GT(decoded, 0);
}

}  // namespace
}  // namespace imdsgate
