#include "attribute/lineage_cache.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "attribute/attributor.hpp"

namespace imdsgate {
namespace {

using namespace std::chrono_literals;
LineageCache::Clock::time_point const kNow{1h};

Process process(pid_t pid, std::uint64_t stack = 1) {
  Process process;
  process.id = {pid, 100, {{1, 2}, "agent", stack, 3}};
  process.executable = Executable{"/usr/bin/agent", false, std::nullopt};
  return process;
}

Lineage lineage(pid_t pid, std::uint64_t stack = 1) {
  return {process(pid, stack), process(1), {}};
}

Suspect suspect(Lineage const &lineage) {
  Suspect suspect{snapshot_of(lineage.process), std::nullopt};
  if (lineage.parent) suspect.parent = snapshot_of(*lineage.parent);
  return suspect;
}

TEST(LineageCache, AnswersForExactlyTheSameProcessAndParent) {
  LineageCache cache(4, 10s);
  auto const known = lineage(7);
  cache.remember(suspect(known), known, kNow);
  EXPECT_TRUE(cache.find(suspect(known), kNow));
  auto const changes = std::vector<std::function<void(Suspect &)>>{
      [](Suspect &s) { s.holder.id.start_ticks = 101; },
      [](Suspect &s) { s.holder.id.exec.stack_start = 9; },
      [](Suspect &s) { s.holder.id.exec.comm.push_back('x'); },
      [](Suspect &s) { s.holder.id.exec.executable.inode = 9; },
      [](Suspect &s) { s.holder.effective_uid = 9; },
      [](Suspect &s) { s.holder.effective_gid = 9; },
      [](Suspect &s) { s.holder.tracer = 9; },
      [](Suspect &s) { s.parent->id.exec.arg_start = 9; },
      [](Suspect &s) { s.parent.reset(); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto other = suspect(known);
    changes[i](other);
    EXPECT_FALSE(cache.find(other, kNow)) << i;
  }
  EXPECT_FALSE(cache.find(suspect(known), kNow + 11s));
}

TEST(LineageCache, ForgetsTheLeastRecentlyUsed) {
  LineageCache cache(2, 10s);
  for (pid_t const pid : {1, 2}) cache.remember(suspect(lineage(pid)), lineage(pid), kNow);
  EXPECT_TRUE(cache.find(suspect(lineage(1)), kNow));
  cache.remember(suspect(lineage(3)), lineage(3), kNow);
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_TRUE(cache.find(suspect(lineage(1)), kNow));
  EXPECT_FALSE(cache.find(suspect(lineage(2)), kNow));
}

TEST(LineageCache, ProvenAtExecStaysProven) {
  LineageCache cache(4, 10s);
  auto upgraded = lineage(7);
  upgraded.process.executable->deleted = true;
  upgraded.process.executable->unproven = Unproven::exe_replaced;
  EXPECT_FALSE(cache.remember(suspect(upgraded), upgraded, kNow)->process.executable->proven());

  cache.remember(suspect(lineage(7)), lineage(7), kNow);
  auto const kept = cache.remember(suspect(upgraded), upgraded, kNow);
  EXPECT_TRUE(kept->process.executable->proven());
  EXPECT_TRUE(kept->process.executable->deleted);

  auto other_exec = lineage(7, 99);
  other_exec.process.executable->unproven = Unproven::exe_replaced;
  EXPECT_FALSE(cache.remember(suspect(other_exec), other_exec, kNow)->process.executable->proven());

  cache.remember(suspect(lineage(7)), lineage(7), kNow);
  auto traced = lineage(7);
  traced.process.executable->unproven = Unproven::traced;
  EXPECT_FALSE(cache.remember(suspect(traced), traced, kNow)->process.executable->proven());
}

Attribution attribution(std::vector<Lineage> const &holders) {
  Attribution attribution;
  attribution.socket_inode = 5;
  attribution.socket_cookie = 6;
  for (auto const &holder : holders) attribution.holders.push_back(std::make_shared<Lineage const>(holder));
  return attribution;
}

TEST(SameHolders, IsTheSameSocketAndTheSameSuspects) {
  auto const one = attribution({lineage(7)});
  EXPECT_TRUE(same_holders(one, attribution({lineage(7)})));
  EXPECT_TRUE(same_holders(attribution({lineage(7), lineage(8)}), attribution({lineage(8), lineage(7)})));
  EXPECT_FALSE(same_holders(one, attribution({lineage(7), lineage(8)})));
  EXPECT_FALSE(same_holders(attribution({lineage(7), lineage(8)}), one));
  EXPECT_FALSE(same_holders(one, attribution({lineage(7, 2)})));  // exec
  EXPECT_FALSE(same_holders(attribution({}), attribution({})));   // nobody is not the same as nobody
  auto other = one;
  other.socket_cookie = 7;
  EXPECT_FALSE(same_holders(one, other));
  other = one;
  other.socket_inode = 7;
  EXPECT_FALSE(same_holders(one, other));
  auto setuid = lineage(7);
  setuid.process.effective_uid = 9;
  EXPECT_FALSE(same_holders(one, attribution({setuid})));
  auto forked = one;
  forked.holder_pids = {7, 9};
  EXPECT_TRUE(same_holders(one, forked));
}

}  // namespace
}  // namespace imdsgate
