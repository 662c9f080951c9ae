// The bytes of the BPF programs' ring, as values.
#include "attribute/kernel_exec.hpp"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>

namespace imdsgate::test {
namespace {

using namespace std::string_literals;

struct Written {
  bpf_exec head{};
  std::string data;
  void part(std::uint32_t &size, std::string const &bytes) {
    size = static_cast<std::uint32_t>(bytes.size());
    data += bytes;
  }
  std::vector<char> bytes() const {
    std::vector<char> all(offsetof(bpf_exec, data) + data.size());
    std::memcpy(all.data(), &head, offsetof(bpf_exec, data));
    std::copy(data.begin(), data.end(), all.begin() + offsetof(bpf_exec, data));
    return all;
  }
};

Written curl() {
  Written exec;
  exec.head.event.kind = BPF_PROCESS_EXEC;
  exec.head.event.time = 5'000'000'000;
  exec.head.event.self.tgid = 42;
  exec.head.event.self.start_boottime = 123'456'789'000;
  exec.head.event.self.effective_uid = 33;
  exec.head.event.parent.tgid = 7;
  exec.head.device = (8u << 20) | 1u;
  exec.head.inode = 99;
  exec.head.links = 1;
  std::memcpy(exec.head.comm, "curl", 5);
  exec.part(exec.head.executable_size, "curl\0bin\0usr\0"s);
  exec.part(exec.head.directory_size, ""s);
  exec.part(exec.head.filename_size, "./curl\0"s);
  exec.part(exec.head.arguments_size, "curl\0-s\0http://x/\0"s);
  return exec;
}

TEST(KernelExec, IsReadAsTheProgramWroteIt) {
  auto const event = parse_kernel_event(curl().bytes());
  ASSERT_TRUE(event && event->image);
  EXPECT_EQ(event->what, ProcessEvent::What::exec);
  EXPECT_EQ(event->time, MonotonicTime(std::chrono::seconds(5)));
  EXPECT_EQ(event->tgid, 42);
  EXPECT_EQ(event->parent->tgid, 7);
  auto const &exec = *event->image;
  EXPECT_EQ(exec.path, "/usr/bin/curl");
  EXPECT_EQ(exec.working_directory, "/");
  EXPECT_EQ(exec.filename, "./curl");
  EXPECT_EQ(exec.arguments->args, (std::vector<std::string>{"curl", "-s", "http://x/"}));
  EXPECT_EQ(exec.comm, "curl");
  EXPECT_EQ(exec.executable, (FileId{makedev(8, 1), 99}));
  EXPECT_EQ(exec.self.start_ticks, 123'456u * static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)) / 1000);
  EXPECT_EQ(exec.self.effective_uid, 33u);
  EXPECT_TRUE(exec.path_known);
  EXPECT_FALSE(exec.detached);
  EXPECT_FALSE(exec.unlinked);
}

TEST(KernelExec, WhatIsOddIsSaid) {
  auto written = curl();
  written.head.flags = BPF_EXEC_PATH_DETACHED | BPF_EXEC_DIRECTORY_ODD | BPF_EXEC_ARGUMENTS_UNREAD;
  written.head.links = 0;
  auto const event = parse_kernel_event(written.bytes());
  ASSERT_TRUE(event && event->image);
  EXPECT_TRUE(event->image->detached);
  EXPECT_TRUE(event->image->unlinked);
  EXPECT_FALSE(event->image->working_directory);
  EXPECT_FALSE(event->image->arguments) << "unknown, which is not none";
}

TEST(KernelExec, AForkNamesBoth) {
  bpf_process_event fork{};
  fork.kind = BPF_PROCESS_FORK;
  fork.self.tgid = 43;
  fork.self.start_boottime = 1'000'000'000;
  fork.parent.tgid = 42;
  fork.caller = 42;
  fork.parent.unusual = BPF_TASK_TRACED;
  auto const event = parse_kernel_event({reinterpret_cast<char const *>(&fork), sizeof fork});
  ASSERT_TRUE(event && event->child && event->parent);
  EXPECT_EQ(event->what, ProcessEvent::What::fork);
  EXPECT_EQ(event->tgid, 42);
  EXPECT_EQ(event->child_tgid, 43);
  EXPECT_EQ(event->child_pid, 43) << "no thread";
  EXPECT_EQ(event->child->start_ticks, static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
  EXPECT_TRUE(event->parent->traced);
  EXPECT_FALSE(event->parent->exe_changed);
  fork.parent.unusual = BPF_TASK_EXE_CHANGED;
  auto const changed = parse_kernel_event({reinterpret_cast<char const *>(&fork), sizeof fork});
  EXPECT_TRUE(changed->parent->exe_changed);
  EXPECT_FALSE(changed->parent->traced);
  EXPECT_EQ(event->copied_from, 0);
  fork.caller = 41;  // CLONE_PARENT
  EXPECT_EQ(parse_kernel_event({reinterpret_cast<char const *>(&fork), sizeof fork})->copied_from, 41);
}

TEST(KernelExec, WhatIsShorterOrOtherwiseIsNoEvent) {
  auto const whole = curl().bytes();
  std::span<char const> const bytes(whole);
  EXPECT_FALSE(parse_kernel_event({}));
  EXPECT_FALSE(parse_kernel_event(bytes.first(sizeof(bpf_process_event))));
  EXPECT_FALSE(parse_kernel_event(bytes.first(offsetof(bpf_exec, data) - 1)));
  EXPECT_TRUE(parse_kernel_event(bytes.first(offsetof(bpf_exec, data) + 5))) << "cut within the path: what is there";
  auto other = whole;
  other[0] = 9;
  EXPECT_FALSE(parse_kernel_event(other));
}

}  // namespace
}  // namespace imdsgate::test
