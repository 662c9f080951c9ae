// Whose path is proven by its own mount namespace: a container's, and nobody's who made what he sees himself.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "live_host.hpp"

namespace imdsgate::test {
namespace {

constexpr char const *kAgent = "/opt/agent";

void must(bool done) {
  if (!done) ::_exit(97);
}

void write_file(char const *path, std::string const &text) {
  HeldFd const file(::open(path, O_WRONLY | O_CLOEXEC));
  must(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

// As root of the user namespace that was made.
void stay_root() {
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", "0 0 1");
  write_file("/proc/self/gid_map", "0 0 1");
}

void mount_over(std::string const &where, std::string const &what) {
  must(::mount(what.c_str(), where.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0);
}

// What a program needs to run below this root.
void add_libraries(std::filesystem::path const &root) {
  for (auto const *name : {"usr", "lib", "lib64", "bin"}) {
    auto const source = std::filesystem::path("/") / name;
    if (!std::filesystem::exists(source)) continue;
    std::filesystem::create_directory(root / name);
    mount_over(root / name, source);
  }
}

class ContainerExecutable : public LiveHost {
 protected:
  // In a child: a mount namespace with a root of its own, as a runtime makes it. Below /opt are `agent` and
  // `other`.
  void enter_container(int more_namespaces = 0) const noexcept {
    auto const root = temp_.path / "root";
    must(::unshare(CLONE_NEWNS | more_namespaces) == 0);
    if ((more_namespaces & CLONE_NEWUSER) != 0) stay_root();
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    std::filesystem::create_directory(root);
    must(::mount("tmpfs", root.c_str(), "tmpfs", 0, "mode=755") == 0);
    for (auto const *name : {"opt", "old", "evil"}) std::filesystem::create_directory(root / name);
    add_libraries(root);
    for (auto const *name : {"agent", "other"}) std::filesystem::copy_file("/bin/sleep", root / "opt" / name);
    must(::syscall(SYS_pivot_root, root.c_str(), (root / "old").c_str()) == 0);
    must(::chdir("/") == 0 && ::umount2("/old", MNT_DETACH) == 0);
  }

  // Of the client that connects, enters the container and then does `body`, which execs.
  Executable executable_in_container(std::function<void()> const &body) {
    child_.emplace([&](auto) {
      connect_here();
      enter_container();
      body();
    });
    return executable_of_child();
  }
  Executable executable_of_child() {
    child_->wait_exec();
    flow_ = accept();
    return executable_now();
  }
  Executable executable_now() {
    auto const result = attribute(flow_);
    EXPECT_TRUE(result) << result.error().detail;
    if (!result) return {};
    auto const &executable = result->holders[0]->process.executable;
    return executable.value_or(Executable{});
  }
  static void expect_not_proven(Executable const &executable) {
    EXPECT_TRUE(executable.unproven) << executable.path;
    EXPECT_FALSE(executable.proven_in_namespace) << executable.path;
  }
  std::optional<Child> child_;
  Flow flow_;
};

TEST_F(ContainerExecutable, OneOfTheInitialUserNamespaceIsProven) {
  auto const executable = executable_in_container([] { run(kAgent, "1000"); });
  EXPECT_EQ(executable.path, kAgent);
  EXPECT_FALSE(executable.proven()) << "it is another path's here";
  EXPECT_TRUE(executable.proven_in_namespace);
}

TEST_F(ContainerExecutable, AlsoOfWhoIsNotRootThere) {
  auto const executable = executable_in_container([] {
    become(33, 33);
    run(kAgent, "1000");
  });
  EXPECT_EQ(executable.path, kAgent);
  EXPECT_TRUE(executable.proven_in_namespace);
}

TEST_F(ContainerExecutable, ABindMountInANamespaceOfOnesOwnIsNever) {
  auto const executable = executable_in_container([] {
    become(33, 33);
    must(::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
    mount_over(kAgent, "/opt/other");
    run(kAgent, "1000");
  });
  EXPECT_EQ(executable.path, kAgent);
  expect_not_proven(executable);
}

TEST_F(ContainerExecutable, NoneOfARootInAUserNamespaceIs) {
  child_.emplace([&](auto) {
    connect_here();
    enter_container(CLONE_NEWUSER);
    run(kAgent, "1000");
  });
  auto const executable = executable_of_child();
  EXPECT_EQ(executable.path, kAgent);
  expect_not_proven(executable);
}

TEST_F(ContainerExecutable, NoneBelowAnotherRootIs) {
  expect_not_proven(executable_in_container([] {
    std::filesystem::create_directory("/evil/opt");
    add_libraries("/evil");
    std::filesystem::copy_file("/bin/sleep", "/evil/opt/agent");
    must(::chroot("/evil") == 0 && ::chdir("/") == 0);
    run(kAgent, "1000");
  }));
}

// By a descriptor of it. The process stays in the container's mount namespace, and is not in its files.
TEST_F(ContainerExecutable, NoneBelowTheRootOfAnotherNamespaceIs) {
  child_.emplace([&](auto) {
    enter_container();
    std::array<int, 2> channel{};
    must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel.data()) == 0);
    if (fork_with_me() == 0) {
      // The test's pipe too, which tells that the other one has exec'd.
      must(::dup2(channel[0], 3) == 3 && ::close_range(4, ~0u, 0) == 0);
      become(33, 33);
      must(::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
      mount_over(kAgent, "/opt/other");
      must(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);  // other credentials have taken it back
      send_descriptor(3, ::open("/", O_PATH | O_DIRECTORY));
      pause_forever();
    }
    int const root = receive_descriptor(channel[1]);
    connect_here();
    must(::fchdir(root) == 0 && ::chroot(".") == 0);
    run(kAgent, "1000");
  });
  auto const executable = executable_of_child();
  EXPECT_EQ(executable.path, kAgent);
  expect_not_proven(executable);
}

TEST_F(ContainerExecutable, OneThatWasReplacedOrDeletedIsNotAnyMore) {
  auto options = patient();
  options.describe_again = std::chrono::milliseconds(0);
  start(std::move(options));
  ASSERT_TRUE(executable_in_container([] { run(kAgent, "1000"); }).proven_in_namespace);
  auto const root = "/proc/" + std::to_string(child_->pid()) + "/root/opt/";
  std::filesystem::rename(root + "other", root + "agent");
  auto const replaced = executable_now();
  EXPECT_EQ(replaced.unproven, Unproven::exe_replaced);
  expect_not_proven(replaced);
}

TEST_F(ContainerExecutable, OneThatIsTracedIsNot) {
  ASSERT_TRUE(executable_in_container([] { run(kAgent, "1000"); }).proven_in_namespace);
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, child_->pid(), nullptr, nullptr), 0);
  auto const traced = executable_now();
  EXPECT_EQ(traced.unproven, Unproven::traced);
  expect_not_proven(traced);
}

}  // namespace
}  // namespace imdsgate::test
