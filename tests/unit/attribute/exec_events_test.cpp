// What the kernel tells of an exec.
#include <sys/mman.h>
#include <sys/mount.h>

#include <fstream>
#include <thread>

#include "exec_events_host.hpp"

namespace imdsgate::test {
namespace {

TEST_P(ExecEventsTest, AnExecIsToldWithWhatItWasAndByWhom) {
  start_events();
  auto const program = temp_.copy("/bin/sleep", "tool");
  Child child([&](auto) { run(program, "1000"); });
  child.wait_exec();
  auto const record = record_of(child.pid());
  ASSERT_TRUE(record.process);
  EXPECT_EQ(exe(record.process), program);
  EXPECT_TRUE(record.process->executable->proven());
  EXPECT_EQ(record.process->args, (std::vector<std::string>{program, "1000"}));
  EXPECT_EQ(record.exec_seq, 1u);
  EXPECT_EQ(record.parent_tgid, ::getpid());
  EXPECT_EQ(exe(record.parent), own_path());
  auto const age = std::chrono::steady_clock::now() - record.time;
  EXPECT_GT(age, 0s);
  EXPECT_LT(age, 20s);
  auto const known = events_->history().find(child.pid(), *record.start_ticks);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->process->entity_id, record.process->entity_id);
}

TEST_P(ExecEventsTest, TheIdentityIsTheOneThatAttributionGives) {
  start_events();
  Child child([&](auto) {
    connect_here();
    run("/bin/sleep", "1000");
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  auto const named = attribute(accept());
  ASSERT_NAMED(named);
  ASSERT_TRUE(record.process && record.parent && named->holders[0]->parent);
  EXPECT_EQ(record.process->id, named->holders[0]->process.id);
  EXPECT_EQ(record.process->entity_id, named->holders[0]->process.entity_id);
  EXPECT_EQ(record.parent->entity_id, named->holders[0]->parent->entity_id);
}

TEST_P(ExecEventsTest, AParentThatEndedBeforeTheExecKeepsItsIdentity) {
  start_events();
  int hold[2], go[2], done[2];  // the orphan's life, its go, and both orphan's and parent's end or exec
  ASSERT_EQ(::pipe2(hold, O_CLOEXEC) | ::pipe2(go, O_CLOEXEC) | ::pipe2(done, O_CLOEXEC), 0);
  Child parent = waiting([&] {
    auto const first = fork_with_me();
    if (first == 0) run("/bin/sleep", "1000");
    auto const orphan = ::fork();
    if (orphan == 0) {
      char byte = 0;
      if (::read(go[0], &byte, 1) != 1 || ::dup2(hold[0], 0) != 0) ::_exit(97);
      run("/bin/cat", "-");
    }
    pid_t const pids[] = {first, orphan};
    if (::write(done[1], pids, sizeof pids) != sizeof pids) ::_exit(97);
  });
  pid_t pids[2] = {};
  ASSERT_EQ(::read(done[0], pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
  ::close(done[1]);
  run_until([&] { return drained() && last_of(pids[0]) != nullptr; });
  auto const while_alive = record_of(pids[0]);
  auto const parent_pid = parent.pid();
  parent.end();
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  char byte = 0;
  ASSERT_EQ(::read(done[0], &byte, 1), 0) << "closed by the orphan's exec";
  auto const record = record_of(pids[1]);
  ASSERT_TRUE(record.process && record.parent && while_alive.parent);
  EXPECT_NE(record.process->parent_pid, parent_pid) << "it was adopted";
  EXPECT_EQ(record.parent_tgid, parent_pid);
  EXPECT_EQ(record.parent->entity_id, while_alive.parent->entity_id);
  EXPECT_EQ(exe(record.parent), own_path());
  for (int const fd : {hold[0], hold[1], go[0], go[1], done[0]}) ::close(fd);
}

TEST_P(ExecEventsTest, AScriptIsItsInterpreterWithTheScriptAsArgument) {
  start_events();
  auto const script = (temp_.path / "job").string();
  std::ofstream(script) << "#!/bin/sh\nread line\n";
  std::filesystem::permissions(script, std::filesystem::perms(0755));
  int hold[2];
  ASSERT_EQ(::pipe2(hold, O_CLOEXEC), 0);
  Child child([&](auto) {
    if (::dup2(hold[0], 0) != 0) ::_exit(97);
    run(script, "argument");
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  ASSERT_TRUE(record.process);
  EXPECT_EQ(exe(record.process), std::filesystem::canonical("/bin/sh"));
  EXPECT_EQ(record.process->args, (std::vector<std::string>{"/bin/sh", script, "argument"}));
  auto const paths = claimed_executables(*record.process);
  EXPECT_NE(std::find(paths.begin(), paths.end(), script), paths.end());
  EXPECT_EQ(record.exec_seq, 1u);
  ::close(hold[0]);
  ::close(hold[1]);
}

TEST_P(ExecEventsTest, AMemfdIsNoFileOfTheDisk) {
  start_events();
  Child child([&](auto) {
    HeldFd const memory(::memfd_create("tool", MFD_CLOEXEC));
    HeldFd const sleep(::open("/bin/sleep", O_RDONLY | O_CLOEXEC));
    auto const size = static_cast<std::size_t>(std::filesystem::file_size("/bin/sleep"));
    std::vector<char> bytes(size);
    if (::read(sleep.get(), bytes.data(), size) != static_cast<ssize_t>(size) ||
        ::write(memory.get(), bytes.data(), size) != static_cast<ssize_t>(size)) {
      ::_exit(97);
    }
    char name[] = "tool", argument[] = "1000";
    char *const arguments[] = {name, argument, nullptr};
    ::fexecve(memory.get(), arguments, environ);
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  ASSERT_TRUE(record.process);
  EXPECT_EQ(exe(record.process), "/memfd:tool");
  EXPECT_FALSE(record.process->executable->proven());
}

// An unprivileged user's own view of the files: the path reads well, and is no proof.
TEST_P(ExecEventsTest, ABindMountOverTheProgramIsNotProven) {
  start_events();
  auto const fake = temp_.copy("/bin/sleep", "fake");
  Child child([&](auto) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(fake.c_str(), "/usr/bin/id", nullptr, MS_BIND, nullptr) != 0) {
      ::_exit(97);
    }
    run("/usr/bin/id", "1000");
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  ASSERT_TRUE(record.process);
  EXPECT_EQ(exe(record.process), "/usr/bin/id");
  EXPECT_FALSE(record.process->executable->proven());
}

TEST_P(ExecEventsTest, TheWorkingDirectoryIsWhereItWas) {
  start_events();
  Child child([&](auto) {
    if (::chdir(temp_.path.c_str()) != 0) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  child.wait_exec();
  EXPECT_EQ(record_of(child.pid()).process->working_directory, temp_.path);
  Child at_root([&](auto) {
    if (::chdir("/") != 0) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  at_root.wait_exec();
  EXPECT_EQ(record_of(at_root.pid()).process->working_directory, "/");
}

TEST_P(ExecEventsTest, EveryExecOfAProcessIsCounted) {
  start_events();
  Child child([&](auto) {
    ::execl("/bin/sh", "sh", "-c", "exec /bin/sh -c 'exec sleep 1000'", static_cast<char *>(nullptr));
  });
  child.wait_exec();
  run_until([&] {
    auto const *record = drained() ? last_of(child.pid()) : nullptr;
    return record && record->exec_seq == 3;
  });
  auto const record = record_of(child.pid());
  EXPECT_EQ(exe(record.process), std::filesystem::canonical("/bin/sleep"));
  EXPECT_EQ(record.parent_tgid, ::getpid());
}

TEST_P(ExecEventsTest, AnExecByAThreadIsTheProcess) {
  start_events();
  Child child([&](auto) {
    std::thread([] { run("/bin/sleep", "1000"); }).detach();
    pause_forever();
  });
  child.wait_exec();
  auto const record = record_of(child.pid());
  EXPECT_EQ(exe(record.process), std::filesystem::canonical("/bin/sleep"));
  EXPECT_EQ(record.parent_tgid, ::getpid());
  EXPECT_TRUE(events_->history().find(child.pid(), record.start_ticks.value_or(0)));
}

TEST_P(ExecEventsTest, TheParentIsWhoItWasAtTheExec) {
  start_events();
  Child parent([&](auto ready) {
    // From here on it is another user than the one its image was read of.
    if (::setresgid(34, 34, 34) != 0 || ::setresuid(33, 33, 33) != 0) ::_exit(97);
    if (fork_with_me() == 0) run("/bin/sleep", "1000");
    ready();
    pause_forever();
  });
  parent.wait_ready();
  auto const by_parent = [&] {
    return std::find_if(told_.begin(), told_.end(),
                        [&](auto const &record) { return record.parent_tgid == parent.pid(); });
  };
  run_until([&] { return drained() && by_parent() != told_.end(); });
  auto const record = *by_parent();
  ASSERT_TRUE(record.process && record.parent);
  EXPECT_EQ(record.process->effective_uid, 33u);
  EXPECT_EQ(record.parent->effective_uid, 33u);
  EXPECT_EQ(record.parent->effective_gid, 34u);
}

BY_EACH_SOURCE(ExecEventsTest);

}  // namespace
}  // namespace imdsgate::test
