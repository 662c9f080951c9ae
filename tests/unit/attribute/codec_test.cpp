#include "attribute/codec.hpp"

#include <gtest/gtest.h>

#include <random>

namespace imdsgate {
namespace {

ProcessSnapshot some_snapshot(pid_t pid) {
  ProcessSnapshot snapshot;
  snapshot.id = {pid, 77, {{5, 6}, "comm)\n", 8, 9}};
  snapshot.real_uid = 1;
  snapshot.effective_uid = 2;
  snapshot.saved_uid = 3;
  snapshot.real_gid = 4;
  snapshot.effective_gid = 5;
  snapshot.tracer = 6;
  return snapshot;
}

Holders some_holders() {
  return {{{some_snapshot(10), some_snapshot(1)}, {some_snapshot(11), std::nullopt}}, {10, 11, 12}};
}

Lineage some_lineage() {
  Lineage lineage;
  auto &process = lineage.process;
  process.id = some_snapshot(10).id;
  process.entity_id = "entity";
  process.parent_pid = 9;
  process.executable = Executable{"/usr/bin/curl", true, Unproven::exe_replaced};
  process.comm = "curl";
  process.args = {"curl", "", std::string("\0x", 2)};
  process.args_truncated = true;
  process.working_directory = "/tmp";
  process.real_uid = 1;
  process.effective_uid = 2;
  process.saved_uid = 3;
  process.real_gid = 4;
  process.effective_gid = 5;
  process.user_name = "user";
  process.start = std::chrono::system_clock::time_point(std::chrono::seconds(1700000000));
  process.cgroup = "/a";
  process.container_id = "c";
  process.container_proven = true;
  process.unit = "u.service";
  process.unit_proven = true;
  process.tracer_pid = 8;
  lineage.parent = process;
  lineage.parent->executable.reset();
  lineage.ancestry = {{9, "bash", "/bin/bash"}, {1, std::nullopt, std::nullopt}};
  return lineage;
}

void expect_equal(Process const &a, Process const &b) {
  EXPECT_EQ(snapshot_of(a), snapshot_of(b));
  EXPECT_EQ(a.entity_id, b.entity_id);
  EXPECT_EQ(a.parent_pid, b.parent_pid);
  ASSERT_EQ(a.executable.has_value(), b.executable.has_value());
  if (a.executable) {
    EXPECT_EQ(a.executable->path, b.executable->path);
    EXPECT_EQ(a.executable->deleted, b.executable->deleted);
    EXPECT_EQ(a.executable->unproven, b.executable->unproven);
  }
  EXPECT_EQ(a.comm, b.comm);
  EXPECT_EQ(a.args, b.args);
  EXPECT_EQ(a.args_truncated, b.args_truncated);
  EXPECT_EQ(a.working_directory, b.working_directory);
  EXPECT_EQ(a.user_name, b.user_name);
  EXPECT_EQ(a.group_name, b.group_name);
  EXPECT_EQ(a.start, b.start);
  EXPECT_EQ(a.cgroup, b.cgroup);
  EXPECT_EQ(a.container_id, b.container_id);
  EXPECT_EQ(a.container_proven, b.container_proven);
  EXPECT_EQ(a.unit, b.unit);
  EXPECT_EQ(a.unit_proven, b.unit_proven);
}

TEST(Codec, QuestionsComeBackAsTheyWent) {
  Question const questions[] = {
      FindTcp{{Address::parse("10.0.0.1").value(), 4321}, {Address::parse("fd00:ec2::254").value(), 80}, 270},
      FindUnix{123456789012345, 42, 33, 44, 555, 270},
      FindHolders{{1, 2, 3, 4}, 270},
      Walk{1000, 280, {1, 2, 3}},
      Describe{42, 777},
      DescribeForked{{1, 2, 3, 4, 5}, Describe{42, 777}, 6},
      DescribeForked{{1, 2, 3, 4, 5}, std::nullopt, 6},
  };
  for (auto const &question : questions) {
    auto const back = decode_question(encode(9, question));
    ASSERT_TRUE(back) << question.index();
    EXPECT_EQ(back->sequence, 9u);
    EXPECT_TRUE(back->value == question) << question.index();
  }
}

TEST(Codec, AnswersComeBackAsTheyWent) {
  Answer const answers[] = {
      Refusal{Reason::socket_gone, "why"},
      Found{{1, 2, 3, 4}, some_holders()},
      WalkNeeded{{5, 6, 7, 8}},
      Walked{{some_holders(), Refusal{Reason::no_holder, ""}, Holders{}}},
  };
  for (auto const &answer : answers) {
    auto const back = decode_answer(encode(7, answer));
    ASSERT_TRUE(back) << answer.index();
    ASSERT_EQ(back->value.index(), answer.index());
    EXPECT_EQ(encode(7, back->value), encode(7, answer));
  }
  auto const found = decode_answer(encode(7, answers[1]));
  EXPECT_EQ(std::get<Found>(found->value), std::get<Found>(answers[1]));
}

TEST(Codec, ALineageComesBackWhole) {
  auto const lineage = some_lineage();
  auto const back = decode_answer(encode(1, Answer{Described{lineage}}));
  ASSERT_TRUE(back);
  auto const &got = std::get<Described>(back->value).lineage;
  expect_equal(got.process, lineage.process);
  ASSERT_TRUE(got.parent);
  expect_equal(*got.parent, *lineage.parent);
  ASSERT_EQ(got.ancestry.size(), 2u);
  EXPECT_EQ(got.ancestry[0].executable, "/bin/bash");
  EXPECT_FALSE(got.ancestry[1].name);
}

TEST(Codec, WhatIsTooLongLosesTheAncestorsPathsFirst) {
  auto lineage = some_lineage();
  lineage.ancestry.assign(kMaxAncestors, Ancestor{5, "x", std::string(4095, 'p')});
  auto back = decode_answer(encode(1, Answer{Described{lineage}}));
  ASSERT_TRUE(back);
  ASSERT_TRUE(std::holds_alternative<Described>(back->value));
  EXPECT_EQ(std::get<Described>(back->value).lineage.ancestry.size(), kMaxAncestors);
  EXPECT_FALSE(std::get<Described>(back->value).lineage.ancestry[0].executable);
  lineage.process.comm.assign(kMaxMessage, 'c');
  back = decode_answer(encode(1, Answer{Described{lineage}}));
  ASSERT_TRUE(back);
  EXPECT_TRUE(std::holds_alternative<Refusal>(back->value));
}

TEST(Codec, EveryPrefixAndEveryExtensionIsRefused) {
  for (auto bytes :
       {encode(1, Answer{Described{some_lineage()}}), encode(1, Answer{Found{{}, some_holders()}})}) {
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_answer({bytes.data(), size})) << size;
    bytes.push_back(0);
    EXPECT_FALSE(decode_answer(bytes));
  }
}

TEST(Codec, SurvivesRandomBytesAndEveryChangedByte) {
  std::mt19937 random(20240229);
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes(random() % 200);
    for (auto &byte : bytes) byte = static_cast<std::uint8_t>(random());
    if (bytes.size() > 4) bytes[4] = static_cast<std::uint8_t>(random() % 6);
    if (auto const question = decode_question(bytes)) {
      EXPECT_EQ(encode(question->sequence, question->value), bytes);
    }
    if (auto const answer = decode_answer(bytes)) {
      EXPECT_EQ(encode(answer->sequence, answer->value), bytes);
    }
  }
  auto const whole = encode(1, Answer{Walked{{some_holders(), Refusal{Reason::no_holder, "x"}}}});
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto bytes = whole;
    for (int value = 0; value < 256; ++value) {
      bytes[i] = static_cast<std::uint8_t>(value);
      if (auto const answer = decode_answer(bytes)) {
        EXPECT_EQ(encode(answer->sequence, answer->value), bytes);
      }
    }
  }
}

TEST(Codec, AHugeCountAllocatesNothing) {
  auto bytes = encode(1, Question{Walk{0, 0, {}}});
  for (std::size_t i = bytes.size() - 4; i < bytes.size(); ++i) bytes[i] = 0xff;
  EXPECT_FALSE(decode_question(bytes));
}

}  // namespace
}  // namespace imdsgate
