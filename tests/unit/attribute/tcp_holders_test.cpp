// Everyone who holds a client's socket, and where they are found.
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include <algorithm>
#include <fstream>

#include "attribute/proc_parse.hpp"
#include "live_host.hpp"

namespace imdsgate::test {
namespace {

using TcpHolders = LiveHost;

TEST_F(TcpHolders, ForkedHolderIsTheSameSuspect) {
  Child child([&](auto ready) {
    connect_here();
    if (fork_with_me() == 0) {
      ready();
      pause_forever();
    }
    pause_forever();
  });
  child.wait_ready();
  auto const result = attribute(accept());
  ASSERT_NAMED(result);
  EXPECT_EQ(result->holders.size(), 1u);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
  EXPECT_EQ(result->holder_pids.size(), 2u);
}

TEST_F(TcpHolders, HolderThatExecdIsASecondSuspect) {
  auto const sleep = temp_.copy("/bin/sleep", "other");
  Child child([&](auto) {
    connect_here();
    if (fork_with_me() == 0) run(sleep, "1000");
    pause_forever();
  });
  auto const flow = accept();
  // The fork's exec is the thing to wait for: both hold the socket, under two programs.
  std::vector<std::string> names;
  auto const until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (names.size() < 2 && std::chrono::steady_clock::now() < until) {
    auto const result = attribute(flow);
    names.clear();
    for (auto const &holder : result ? result->holders : std::vector<LineagePtr>{}) {
      names.push_back(holder->process.name().value_or(""));
    }
  }
  ASSERT_EQ(names.size(), 2u);
  EXPECT_NE(std::find(names.begin(), names.end(), "other"), names.end());
}

TEST_F(TcpHolders, ReceiverOfThePassedDescriptorIsFound) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child receiver([&](auto ready) {
    receive_descriptor(pair[1]);
    ready();
    pause_forever();
  });
  Child connector = waiting([&] { send_descriptor(pair[0], connect_here()); });
  receiver.wait_ready();
  auto const result = attribute(accept());
  ASSERT_NAMED(result);
  std::vector<pid_t> pids{connector.pid(), receiver.pid()};
  std::sort(pids.begin(), pids.end());
  EXPECT_EQ(result->holder_pids, pids);
  EXPECT_EQ(result->holders.size(), 2u);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_F(TcpHolders, ReceiverThatWasKnownToHoldNothingIsFound) {
  int pair[2], go[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child receiver([&](auto ready) {
    receive_descriptor(pair[1]);
    ready();
    pause_forever();
  });
  Child connector([&](auto ready) {
    int const fd = connect_here();
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(97);
    send_descriptor(pair[0], fd);
    ready();
    pause_forever();
  });
  auto const flow = accept();
  // Long enough for both workers to have looked at the receiver and to trust that it has not run since.
  auto const until = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  while (std::chrono::steady_clock::now() < until) {
    for (auto const &result : attribute_all({flow, flow})) {
      ASSERT_NAMED(result);
      ASSERT_EQ(result->holder_pids, std::vector<pid_t>{connector.pid()});
    }
  }
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  receiver.wait_ready();
  for (auto const &result : attribute_all({flow, flow})) {
    ASSERT_NAMED(result);
    EXPECT_EQ(result->holder_pids.size(), 2u);
  }
  for (int const fd : {pair[0], pair[1], go[0], go[1]}) ::close(fd);
}

TEST_F(TcpHolders, WhoseOnlyDescriptorIsInFlightIsNobody) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child child([&](auto) {
    become(33, 33);
    send_descriptor(pair[0], connect_here(SOCK_CLOEXEC));
    run("/bin/sleep", "1000");
  });
  child.wait_exec();
  EXPECT_NOBODY(attribute(accept()), Reason::no_holder);
  ::close(pair[0]);
  ::close(pair[1]);
}

void *wait_in_thread(void *ready) {
  // The leader ends first: until then its directory still shows the descriptors.
  auto const stat = "/proc/" + std::to_string(::getpid()) + "/stat";
  for (;;) {
    std::ifstream file(stat);
    std::string const text{std::istreambuf_iterator<char>(file), {}};
    auto const parsed = parse_stat(text);
    if (parsed && parsed->state == 'Z') break;
    ::sched_yield();
  }
  (*static_cast<Child::Ready *>(ready))();
  pause_forever();
}

TEST_F(TcpHolders, WhoseMainThreadEndedIsNamed) {
  Child child([&](auto ready) {
    become(33, 44);
    connect_here();
    auto *kept = new Child::Ready(ready);  // for the thread, which outlives this frame
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, wait_in_thread, kept) != 0) ::_exit(97);
    ::syscall(SYS_exit, 0);  // this thread alone
    ::_exit(97);
  });
  child.wait_ready();
  auto const result = attribute(accept());
  ASSERT_NAMED(result);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
  EXPECT_EQ(result->holders[0]->process.effective_uid, 33u);
  EXPECT_TRUE(result->holders[0]->process.executable && result->holders[0]->process.executable->proven());
}

struct Connect {
  std::function<void()> connect;
  Child::Ready ready;
};

void *connect_in_own_table(void *argument) {
  if (::unshare(CLONE_FILES) != 0) ::_exit(97);
  auto const &[connect, ready] = *static_cast<Connect *>(argument);
  connect();
  ready();
  pause_forever();
}

TEST_F(TcpHolders, InAThreadWithItsOwnDescriptorsIsNamed) {
  Child child([&](auto ready) {
    Connect argument{[&] { connect_here(); }, ready};
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, connect_in_own_table, &argument) != 0) ::_exit(97);
    pause_forever();
  });
  child.wait_ready();
  auto const result = attribute(accept());
  ASSERT_NAMED(result);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
}

TEST_F(TcpHolders, OutsideTheSocketsCgroupIsFoundByAWalk) {
  TestCgroup cgroup;
  if (cgroup.path.empty()) GTEST_SKIP() << "no cgroup2 mount";
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child child([&](auto ready) {
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(97);
    become(33, 33);
    connect_here();
    ready();
    pause_forever();
  });
  cgroup.add(child.pid());
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  child.wait_ready();
  auto const flow = accept();
  auto const inside = attribute(flow);
  ASSERT_NAMED(inside);
  EXPECT_EQ(cgroup.path.substr(TestCgroup::root().size()), inside->holders[0]->process.cgroup);
  EXPECT_EQ(client_->walks(), 0u);
  TestCgroup::move(child.pid(), TestCgroup::root());
  auto const outside = attribute(flow);
  ASSERT_NAMED(outside);
  EXPECT_EQ(client_->walks(), 1u);
  EXPECT_TRUE(same_holders(*inside, *outside));
  ::close(go[0]);
  ::close(go[1]);
}

}  // namespace
}  // namespace imdsgate::test
