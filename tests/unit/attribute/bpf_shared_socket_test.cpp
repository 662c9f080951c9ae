// A socket that more than one process, or more than one descriptor, holds: the prober is asked, or nobody is
// named.
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <sys/prctl.h>

#include <array>

#include "bpf_host.hpp"

namespace imdsgate::test {
namespace {

using BpfSharedSocket = BpfHost;

TEST_F(BpfSharedSocket, WithADuplicateIsTheProbersToName) {
  Child child = waiting([&] {
    int const fd = connect_here();
    ::dup(fd);
    send_ask(fd);
  });
  EXPECT_BY_PROBER(named_after(kAskSize), child.pid(), 1u);
}

TEST_F(BpfSharedSocket, SharedWithAForkIsTheProbersToName) {
  Child child = waiting([&] {
    int const fd = connect_here();
    if (fork_with_me() == 0) pause_forever();
    send_ask(fd);
  });
  EXPECT_BY_PROBER(named_after(kAskSize), child.pid(), 2u);
}

TEST_F(BpfSharedSocket, WhoseForkSendsIsTheProbersToName) {
  Child child([&](auto ready) {
    int const fd = connect_here();
    if (fork_with_me() == 0) {
      send_ask(fd);
      ready();
    }
    pause_forever();
  });
  child.wait_ready();
  EXPECT_BY_PROBER(named_after(kAskSize), child.pid(), 2u);
}

TEST_F(BpfSharedSocket, WhoseForkSentAndEndedIsNobody) {
  Child child = waiting([&] {
    int const fd = connect_here();
    auto const other = fork_with_me();
    if (other == 0) {
      send_ask(fd);
      ::_exit(0);
    }
    ::waitpid(other, nullptr, 0);
  });
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
}

TEST_F(BpfSharedSocket, WhoPassedTheDescriptorOnIsTheProbersToName) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child child = waiting([&] {
    int const fd = connect_here();
    send_descriptor(pair[0], fd);  // stays in flight: no process shows it
    send_ask(fd);
  });
  EXPECT_BY_PROBER(named_after(kAskSize), child.pid(), 1u);
  ::close(pair[0]);
  ::close(pair[1]);
}

// The trick of a descriptor in flight: whoever looks at /proc finds only the respectable program.
TEST_F(BpfSharedSocket, InFlightWhileTheConnectorExecsIsUncertain) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child child([&](auto) {
    int const fd = connect_here();
    send_ask(fd);
    send_descriptor(pair[0], fd);
    run("/bin/sleep", "1000");
  });
  child.wait_exec();
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
  ::close(pair[0]);
  ::close(pair[1]);
}

// As with one that is in an io_uring alone.
TEST_F(BpfSharedSocket, OfWhichNobodyHasADescriptorIsUncertain) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child child = waiting([&] {
    int const fd = connect_here();
    send_descriptor(pair[0], fd);
    send_ask(fd);
    ::close(fd);
  });
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
  ::close(pair[0]);
  ::close(pair[1]);
}

struct Sending {
  int fd;
  Child::Ready ready;
};

void *send_in_thread(void *argument) {
  auto const &[fd, ready] = *static_cast<Sending *>(argument);
  send_ask(fd);
  ready();
  pause_forever();
}

TEST_F(BpfSharedSocket, WithThreadsIsNamed) {
  Child child([&](auto ready) {
    become(33, 44);
    Sending sending{connect_here(), ready};
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, send_in_thread, &sending) != 0) ::_exit(97);
    pause_forever();
  });
  child.wait_ready();
  EXPECT_BY_KERNEL(named_after(kAskSize), child.pid());
}

TEST_F(BpfSharedSocket, WithThreadsAndADuplicateIsTheProbersToName) {
  Child child([&](auto ready) {
    Sending sending{connect_here(), ready};
    ::dup(sending.fd);
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, send_in_thread, &sending) != 0) ::_exit(97);
    pause_forever();
  });
  child.wait_ready();
  EXPECT_BY_PROBER(named_after(kAskSize), child.pid(), 1u);
}

TEST_F(BpfSharedSocket, WhoseDescriptorTableIsAnothersTooIsTheProbersToName) {
  Child child = waiting([&] {
    int const fd = connect_here();
    static std::array<char, 64 * 1024> stack;
    auto const other = ::clone(
        [](void *) -> int {
          ::prctl(PR_SET_PDEATHSIG, SIGKILL);
          pause_forever();
        },
        stack.data() + stack.size(), CLONE_FILES | SIGCHLD, nullptr);
    if (other < 0) ::_exit(97);
    send_ask(fd);
  });
  EXPECT_BY_PROBER(named_after(kAskSize), child.pid(), 2u);
}

TEST_F(BpfSharedSocket, ConnectedAnewByAForkIsTheForks) {
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child child([&](auto ready) {
    int const fd = connect_here();
    send_ask(fd);
    ready();
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(97);
    if (fork_with_me() == 0) {
      sockaddr nothing{};
      nothing.sa_family = AF_UNSPEC;
      sockaddr_in const address = service_address();
      if (::connect(fd, &nothing, sizeof nothing) != 0 ||
          ::connect(fd, reinterpret_cast<sockaddr const *>(&address), sizeof address) != 0) {
        ::_exit(97);
      }
      send_ask(fd);
    }
    pause_forever();
  });
  child.wait_ready();
  auto const first = named_after(kAskSize);
  EXPECT_BY_KERNEL(first, child.pid());
  auto const first_flow = flow_;
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  auto const second = named_after(kAskSize);
  ASSERT_NAMED(second);
  EXPECT_EQ(flow_.socket->cookie, first_flow.socket->cookie) << "the same socket";
  EXPECT_EQ(second->method, Attribution::Method::sock_diag) << "both hold it";
  EXPECT_EQ(second->holder_pids.size(), 2u);
  EXPECT_BY_KERNEL(ask(first_flow, kAskSize), child.pid());  // its connection is no more, and it was alone on it
  ::close(go[0]);
  ::close(go[1]);
}

// What is registered in a ring is held by whoever has the ring, and no table of descriptors shows it.
TEST_F(BpfSharedSocket, ThatHasAnIoUringIsTheProbersToName) {
  Child child([&](auto ready) {
    std::array<char, 120> parameters{};  // struct io_uring_params
    int const fd = connect_here();
    if (::syscall(SYS_io_uring_setup, 4, parameters.data()) < 0) ::_exit(96);
    send_ask(fd);
    ready();
    pause_forever();
  });
  accept_known();
  pollfd poll{accepted_.back().get(), POLLIN, 0};
  char byte = 0;
  if (::poll(&poll, 1, 10000) == 1 && ::recv(accepted_.back().get(), &byte, 1, MSG_PEEK) == 0) {
    GTEST_SKIP() << "no io_uring here";
  }
  receive(kAskSize);
  EXPECT_BY_PROBER(ask(flow_, kAskSize), child.pid(), 1u);
}

}  // namespace
}  // namespace imdsgate::test
