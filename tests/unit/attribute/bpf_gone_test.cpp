// Whom the kernel's record names when the client is no more: closed, reset or ended before the gateway looked.
#include <sys/wait.h>

#include "bpf_host.hpp"

namespace imdsgate::test {
namespace {

class BpfGone : public BpfHost {
 protected:
  // A child that has ended, and is reaped, when this returns.
  static pid_t ended(std::function<void()> const &body) {
    Child child([&](auto) {
      body();
      ::_exit(0);
    });
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED), 0);
    EXPECT_EQ(info.si_status, 0);
    return child.pid();
  }
};

TEST_F(BpfGone, IsNamedAsACopyOfItsParentWithTheUsersItHad) {
  auto const pid = ended([&] {
    become(33, 44);
    send_ask(connect_here());
  });
  auto const result = named_after(kAskSize);
  EXPECT_BY_KERNEL(result, pid);
  EXPECT_EQ(bpf_->counters().gone, 1u);
  auto const &who = *result->holders[0];
  EXPECT_EQ(who.process.effective_uid, 33u);
  EXPECT_EQ(who.process.saved_uid, 33u);
  EXPECT_EQ(who.process.effective_gid, 44u);
  EXPECT_EQ(result->socket_uid, 33u);
  ASSERT_TRUE(who.parent && who.parent->executable && who.process.executable);
  EXPECT_EQ(who.parent->id.tgid, ::getpid());
  EXPECT_EQ(who.parent->effective_uid, 0u);
  EXPECT_EQ(who.process.executable->path, who.parent->executable->path);
  EXPECT_NE(who.process.entity_id, who.parent->entity_id);
  EXPECT_EQ(who.process.cgroup, who.parent->cgroup);
  EXPECT_FALSE(who.process.working_directory) << "nobody wrote it down";
  ASSERT_FALSE(who.ancestry.empty());
  EXPECT_EQ(who.ancestry.front().pid, ::getpid());
}

TEST_F(BpfGone, OfOneParentAreDescribedOnce) {
  for (int i = 0; i < 3; ++i) {
    auto const pid = ended([&] { send_ask(connect_here()); });
    EXPECT_BY_KERNEL(named_after(kAskSize), pid);
  }
  EXPECT_EQ(client_->counters().questions, 1u);
}

TEST_F(BpfGone, InAnotherCgroupIsThere) {
  TestCgroup const there;
  if (there.path.empty()) GTEST_SKIP() << "no cgroup2 mount";
  auto const pid = ended([&] {
    there.add(::getpid());
    send_ask(connect_here());
  });
  auto const result = named_after(kAskSize);
  EXPECT_BY_KERNEL(result, pid);
  auto const &who = *result->holders[0];
  EXPECT_TRUE(there.path.ends_with(who.process.cgroup)) << who.process.cgroup;
  EXPECT_NE(who.process.cgroup, who.parent->cgroup);
}

// Two had one address after the other, and neither is accepted yet: each is named for what it sent.
TEST_F(BpfGone, ByAResetIsNotWhoeverHasItsPortNext) {
  auto const first = ended([&] { send_ask(connect_from(45556)); });
  Child second = waiting([&] { send_ask(connect_from(45556)); });
  EXPECT_BY_KERNEL(named_after(kAskSize), first);
  auto const client = flow_.client;
  EXPECT_BY_KERNEL(named_after(kAskSize), second.pid());
  EXPECT_EQ(flow_.client, client);
}

TEST_F(BpfGone, WithAParentThatIsGoneTooIsNobody) {
  ended([&] {
    auto const child = ::fork();
    if (child != 0) {
      ::waitpid(child, nullptr, 0);
      return;
    }
    send_ask(connect_here());
    ::_exit(0);
  });
  auto const result = named_after(kAskSize);
  EXPECT_NOBODY(result, Reason::socket_gone);
}

// Whoever looks at /proc/PID/fd has it, too, for a moment. When nobody has it any more, who sent is all there is to know.
TEST_F(BpfGone, WhileAnotherHadTheSocketIsNamedOnceNobodyHasIt) {
  auto const pid = ended([&] {
    int const fd = connect_here();
    ::dup(fd);
    send_ask(fd);
  });
  EXPECT_BY_KERNEL(named_after(kAskSize), pid);
}

// Another program has a copy: it may wait for the answer.
TEST_F(BpfGone, WhileAnotherHasTheSocketIsNotNamedAlone) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child holder([&](auto ready) {
    if (receive_descriptor(pair[1]) < 0 || ::write(pair[1], "g", 1) != 1) ::_exit(97);
    ready();
    pause_forever();
  });
  ended([&] {
    int const fd = connect_here();
    send_descriptor(pair[0], fd);
    char byte = 0;
    if (::read(pair[0], &byte, 1) != 1) ::_exit(97);
    send_ask(fd);
  });
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_F(BpfGone, AfterAnotherSentIsNobody) {
  ended([&] {
    int const fd = connect_here();
    auto const child = ::fork();
    if (child == 0) {
      send_ask(fd);
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
  });
  EXPECT_NOBODY(named_after(kAskSize), Reason::socket_gone);
}

TEST_F(BpfGone, LeavesARecordUntilNobodyCanAskForIt) {
  Child child = waiting([&] { send_ask(connect_here()); });
  accept_known();
  auto const id = *flow_.recorded;
  EXPECT_EQ(bpf_->connections().forget_closed(std::chrono::nanoseconds(0)), 0u) << "it is open";
  child.end();
  run_until([&] { return bpf_->connections().find(id)->closed_ns != 0; });  // when the other end has answered its FIN
  for (auto const ago : {std::chrono::hours(1), std::chrono::hours(24 * 365 * 100)}) {  // with an uptime of more or less
    EXPECT_EQ(bpf_->connections().forget_closed(ago), 0u) << "it has only just been closed";
  }
  EXPECT_TRUE(bpf_->connections().find(id));
  EXPECT_EQ(bpf_->connections().forget_closed(std::chrono::nanoseconds(0)), 1u);
  EXPECT_FALSE(bpf_->connections().find(id));
  EXPECT_EQ(bpf_->connections().counters().forgotten, 1u);
}

}  // namespace
}  // namespace imdsgate::test
