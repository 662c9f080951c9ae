// Whose path is proven, and whose is not.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "live_host.hpp"

namespace imdsgate::test {
namespace {

class ExecutableProof : public LiveHost {
 protected:
  // The executable of a client that connects and then does `body`, which execs.
  std::optional<Executable> executable_of(std::function<void()> const &body) {
    child_.emplace([&](auto) {
      connect_here();
      body();
    });
    child_->wait_exec();
    flow_ = accept();
    auto const result = attribute(flow_);
    EXPECT_TRUE(result) << result.error().detail;
    if (!result) return std::nullopt;
    return result->holders[0]->process.executable;
  }
  std::optional<Child> child_;
  Flow flow_;
};

TEST_F(ExecutableProof, AFileUnderItsOwnNameIsProven) {
  auto const program = temp_.copy("/bin/sleep", "agent");
  auto const executable = executable_of([&] { run(program, "1000"); });
  ASSERT_TRUE(executable);
  EXPECT_EQ(executable->path, program);
  EXPECT_TRUE(executable->proven());
}

TEST_F(ExecutableProof, ANameThatEndsInDeletedIsAName) {
  auto const program = temp_.copy("/bin/sleep", "agent (deleted)");
  auto const executable = executable_of([&] { run(program, "1000"); });
  ASSERT_TRUE(executable);
  EXPECT_EQ(executable->path, program);
  EXPECT_FALSE(executable->deleted);
  EXPECT_TRUE(executable->proven());
}

TEST_F(ExecutableProof, ABindMountInANamespaceOfOnesOwnIsNever) {
  auto const fake = temp_.copy("/bin/sleep", "fake");
  auto const executable = executable_of([&] {
    become(33, 33);
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(fake.c_str(), "/usr/bin/id", nullptr, MS_BIND, nullptr) != 0) {
      ::_exit(97);
    }
    run("/usr/bin/id", "1000");
  });
  ASSERT_TRUE(executable);
  EXPECT_EQ(executable->path, "/usr/bin/id");
  ASSERT_TRUE(executable->unproven);
  EXPECT_TRUE(*executable->unproven == Unproven::other_file ||
              *executable->unproven == Unproven::other_namespace);
}

// In a user namespace of one's own one may have any file for one's executable.
TEST_F(ExecutableProof, NoneIsInAnotherUserNamespace) {
  auto const executable = executable_of([] {
    if (::unshare(CLONE_NEWUSER) != 0) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  ASSERT_TRUE(executable);
  EXPECT_EQ(executable->unproven, Unproven::other_namespace);
}

TEST_F(ExecutableProof, ADeletedFileIsNot) {
  auto const program = temp_.copy("/bin/sleep", "gone");
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child child([&](auto) {
    connect_here();
    run(program, "1000");
  });
  child.wait_exec();
  std::filesystem::remove(program);
  auto const result = attribute(accept());
  ASSERT_NAMED(result);
  auto const &executable = result->holders[0]->process.executable;
  EXPECT_EQ(executable->path, program);
  EXPECT_TRUE(executable->deleted);
  EXPECT_EQ(executable->unproven, Unproven::exe_replaced);
}

TEST_F(ExecutableProof, AFileReplacedUnderARunningProcessStaysProven) {
  auto options = patient();
  options.describe_again = std::chrono::milliseconds(0);
  start(std::move(options));
  auto const program = temp_.copy("/bin/sleep", "upgraded");
  auto const before = executable_of([&] { run(program, "1000"); });
  ASSERT_TRUE(before && before->proven());
  std::filesystem::rename(temp_.copy("/bin/cat", "new-version"), program);
  auto const after = attribute(flow_);
  ASSERT_NAMED(after);
  EXPECT_TRUE(after->holders[0]->process.executable->proven());
  EXPECT_EQ(after->holders[0]->process.executable->path, program);
}

TEST_F(ExecutableProof, AMemoryFileIsNot) {
  auto const executable = executable_of([&] {
    int const file = ::memfd_create("agent", MFD_CLOEXEC);
    HeldFd const source(::open("/bin/sleep", O_RDONLY));
    char buffer[65536];
    for (ssize_t size = 0; (size = ::read(source.get(), buffer, sizeof buffer)) > 0;) {
      if (::write(file, buffer, static_cast<std::size_t>(size)) != size) ::_exit(97);
    }
    char name[] = "agent", argument[] = "1000";
    char *const arguments[] = {name, argument, nullptr};
    char *const environment[] = {nullptr};
    ::fexecve(file, arguments, environment);
  });
  ASSERT_TRUE(executable);
  EXPECT_EQ(executable->path, "/memfd:agent");
  EXPECT_EQ(executable->unproven, Unproven::exe_replaced);
}

TEST_F(ExecutableProof, ATracedProcessProvesNothing) {
  auto const before = executable_of([&] { run("/bin/sleep", "1000"); });
  ASSERT_TRUE(before && before->proven());
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, child_->pid(), nullptr, nullptr), 0);
  auto const traced = attribute(flow_);
  ASSERT_NAMED(traced);
  EXPECT_EQ(traced->holders[0]->process.tracer_pid, ::getpid());
  EXPECT_EQ(traced->holders[0]->process.executable->unproven, Unproven::traced);
}

}  // namespace
}  // namespace imdsgate::test
