#include "attribute/proven_executables.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace imdsgate {
namespace {

Process agent(pid_t pid = 7, std::optional<Unproven> unproven = std::nullopt) {
  Process process;
  process.id = {pid, 100, {{1, 2}, "agent", 3, 4}};
  process.executable = Executable{"/usr/bin/agent", unproven == Unproven::exe_replaced, unproven};
  return process;
}

// Whether it is proven after its file was replaced.
bool proven_when_replaced(ProvenExecutables &proven, std::function<void(Process &)> change = [](Process &) {}) {
  auto process = agent(7, Unproven::exe_replaced);
  change(process);
  proven.apply(process);
  EXPECT_TRUE(!process.executable->proven() || (process.executable->path == "/usr/bin/agent" && process.executable->deleted));
  return process.executable->proven();
}

ProvenExecutables knowing(Process process) {
  ProvenExecutables proven;
  proven.apply(process);
  return proven;
}

TEST(ProvenExecutables, AreOfExactlyThatProcessAndItsExec) {
  auto known = knowing(agent());
  EXPECT_TRUE(proven_when_replaced(known));
  for (auto const &change : std::vector<std::function<void(Process &)>>{
           [](Process &p) { p.id.tgid = 8; },
           [](Process &p) { p.id.start_ticks = 101; },
           [](Process &p) { p.id.exec.executable.inode = 9; },
           [](Process &p) { p.id.exec.executable.device = 9; },
           [](Process &p) { p.id.exec.comm = "x"; },
           [](Process &p) { p.id.exec.stack_start = 9; },
           [](Process &p) { p.id.exec.arg_start = 9; },
           [](Process &p) { p.executable->unproven = Unproven::traced; },
           [](Process &p) { p.executable->unproven = Unproven::other_file; },
       }) {
    auto proven = knowing(agent());
    EXPECT_FALSE(proven_when_replaced(proven, change));
  }
  auto never = knowing(agent(7, Unproven::exe_replaced));
  EXPECT_FALSE(proven_when_replaced(never));
}

TEST(ProvenExecutables, AreNotWhatWasWithdrawn) {
  auto known = knowing(agent());
  EXPECT_TRUE(known.take_changed());
  known.withdraw(agent(8).id);
  EXPECT_FALSE(known.take_changed()) << "nothing was known of it";
  EXPECT_TRUE(proven_when_replaced(known));
  known.withdraw(agent().id);
  EXPECT_TRUE(known.take_changed());
  EXPECT_FALSE(proven_when_replaced(known));
  EXPECT_TRUE(known.pids().empty());
}

TEST(ProvenExecutables, AreTheSameWhenReadAgain) {
  auto const text = knowing(agent()).to_json("boot");
  auto again = ProvenExecutables::parse(text, "boot");
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_FALSE(again->take_changed());
  EXPECT_EQ(again->to_json("boot"), text);
  EXPECT_TRUE(proven_when_replaced(*again));
}

TEST(ProvenExecutables, AreNotThoseOfAnotherBoot) {
  auto const other = ProvenExecutables::parse(knowing(agent()).to_json("boot"), "another");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::not_found);
}

TEST(ProvenExecutables, AreAllThereOrNone) {
  auto const text = knowing(agent()).to_json("boot");
  for (auto const &[from, to] : std::vector<std::pair<std::string, std::string>>{
           {"{", ""}, {"\"tgid\":7", "\"tgid\":\"7\""}, {"\"tgid\":7", "\"tgid\":0"}, {"\"tgid\":7,", ""}, {"\"inode\":2", "\"inode\":-2"},
           {"/usr/bin", "usr/bin"}, {"\"version\":1", "\"version\":2"}, {"\"proven\":[{", "\"proven\":[3,{"}}) {
    auto changed = text;
    changed.replace(changed.find(from), from.size(), to);
    auto const parsed = ProvenExecutables::parse(changed, "boot");
    ASSERT_FALSE(parsed) << changed;
    EXPECT_EQ(parsed.error().code, Errc::malformed);
  }
  EXPECT_FALSE(ProvenExecutables::parse("", "boot"));
}

TEST(ProvenExecutables, LeaveOutWhatIsNoText) {
  auto odd = agent();
  odd.id.exec.comm = "\xff";
  auto const again = ProvenExecutables::parse(knowing(odd).to_json("boot"), "boot");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->pids().empty());
}

TEST(ProvenExecutables, AreBoundedAndForgotten) {
  ProvenExecutables proven;
  auto first = agent(1), second = agent(2);
  proven.apply(first);
  proven.apply(second);
  EXPECT_TRUE(proven.take_changed());
  proven.apply(first);  // asked again: later than the second
  EXPECT_FALSE(proven.take_changed());
  for (std::size_t i = 2; i <= ProvenExecutables::kLimit; ++i) {
    auto process = agent(static_cast<pid_t>(i + 1));
    proven.apply(process);
  }
  auto pids = proven.pids();
  EXPECT_EQ(pids.size(), ProvenExecutables::kLimit);
  EXPECT_EQ(pids[0], 1);
  EXPECT_EQ(pids[1], 3);
  proven.forget({1, 3});
  EXPECT_EQ(proven.pids()[0], 4);
  EXPECT_EQ(ProvenExecutables::parse(proven.to_json("boot"), "boot")->pids(), proven.pids());
}

}  // namespace
}  // namespace imdsgate
