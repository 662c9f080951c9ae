// Whom the kernel's own record names, and when it names nobody and the prober is asked.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "bpf_host.hpp"

namespace imdsgate::test {
namespace {

using BpfClient = BpfHost;

constexpr char kAsk[] = "GET / HTTP/1.1\r\n\r\n";
constexpr std::size_t kAskSize = sizeof kAsk - 1;

void send_ask(int fd) {
  if (::send(fd, kAsk, kAskSize, 0) != static_cast<ssize_t>(kAskSize)) ::_exit(97);
}

// A request that a program copies from here to its output, and then waits for more.
class EndlessRequest {
 public:
  explicit EndlessRequest(std::filesystem::path const &path) {
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    fifo_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(::write(fifo_.get(), kAsk, kAskSize), static_cast<ssize_t>(kAskSize));
  }

 private:
  HeldFd fifo_;
};

#define EXPECT_BY_KERNEL(result, who)                            \
  do {                                                           \
    auto const by_kernel = (result);                             \
    ASSERT_NAMED(by_kernel);                                     \
    EXPECT_EQ(by_kernel->method, Attribution::Method::bpf);      \
    EXPECT_EQ(by_kernel->holders.front()->process.id.tgid, who); \
    EXPECT_EQ(by_kernel->holder_pids, std::vector<pid_t>{who});  \
  } while (false)

TEST_F(BpfClient, IsNamedWithItsParentWithoutAQuestionWhoHoldsTheSocket) {
  Child child([&](auto ready) {
    become(33, 44);
    send_ask(connect_here());
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const before = client_->counters().questions;
  auto const result = named_after(kAskSize);
  EXPECT_BY_KERNEL(result, child.pid());
  EXPECT_EQ(client_->counters().questions, before + 1) << "one description, and no search";
  auto const &process = result->holders[0]->process;
  EXPECT_EQ(process.real_uid, 33u);
  EXPECT_EQ(process.effective_uid, 33u);
  EXPECT_EQ(process.effective_gid, 44u);
  EXPECT_EQ(result->socket_uid, 33u);
  EXPECT_NE(result->socket_inode, 0u);
  EXPECT_TRUE(process.executable && process.executable->proven());
  ASSERT_TRUE(result->holders[0]->parent);
  EXPECT_EQ(result->holders[0]->parent->id.tgid, ::getpid());
}

TEST_F(BpfClient, AskedAgainAsksNobody) {
  Child child([&](auto ready) {
    send_ask(connect_here());
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const first = named_after(kAskSize);
  auto const before = client_->counters().questions;
  auto const second = ask(flow_, kAskSize);
  EXPECT_BY_KERNEL(first, child.pid());
  EXPECT_BY_KERNEL(second, child.pid());
  EXPECT_TRUE(same_holders(*first, *second));
  EXPECT_EQ(client_->counters().questions, before);
  EXPECT_EQ(bpf_->counters().by_kernel, 1u);
  EXPECT_EQ(bpf_->counters().described, 1u);
}

TEST_F(BpfClient, OnAMappedAddressIsNamed) {
  Child child([&](auto ready) {
    send_ask(connect_v6_mapped());
    ready();
    pause_forever();
  });
  child.wait_ready();
  EXPECT_BY_KERNEL(named_after(kAskSize), child.pid());
}

TEST_F(BpfClient, ThatSendsByWriteAndSendfileIsNamed) {
  auto const file = temp_.path / "request";
  std::ofstream(file) << kAsk;
  Child child([&](auto ready) {
    int const fd = connect_here();
    int const from = ::open(file.c_str(), O_RDONLY);
    if (::write(fd, kAsk, kAskSize) != static_cast<ssize_t>(kAskSize)) ::_exit(97);
    if (::sendfile(fd, from, nullptr, kAskSize) != static_cast<ssize_t>(kAskSize)) ::_exit(97);
    ready();
    pause_forever();
  });
  child.wait_ready();
  EXPECT_BY_KERNEL(named_after(2 * kAskSize), child.pid());
}

TEST_F(BpfClient, BeforeItSentIsTheProbersToName) {
  Child child([&](auto ready) {
    connect_here();
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = ask(accept_known(), 0);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
}

TEST_F(BpfClient, OfWhichMoreCameThanTheKernelCountedIsTheProbersToName) {
  Child child([&](auto ready) {
    send_ask(connect_here());
    ready();
    pause_forever();
  });
  child.wait_ready();
  accept_known();
  auto const result = ask(flow_, kAskSize + 1);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
}

TEST_F(BpfClient, ThatExecsBeforeItSendsIsUncertain) {
  auto const cat = temp_.copy("/bin/cat", "other");
  auto const file = temp_.path / "request";
  EndlessRequest const request(file);
  Child child([&](auto) {
    int const fd = connect_here();
    ::dup2(fd, STDOUT_FILENO);
    ::close(fd);
    run(cat, file.string());
  });
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
}

TEST_F(BpfClient, ThatExecsAfterItWasNamedIsStillWhoSent) {
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child child([&](auto) {
    send_ask(connect_here());
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  auto const before = named_after(kAskSize);
  EXPECT_BY_KERNEL(before, child.pid());
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  child.wait_exec();
  // Known: it is about whoever sent these bytes.
  auto const after = ask(flow_, kAskSize);
  EXPECT_BY_KERNEL(after, child.pid());
  EXPECT_EQ(after->holders[0], before->holders[0]);
  ::close(go[0]);
  ::close(go[1]);
}

TEST_F(BpfClient, ThatExecdBeforeItCouldBeDescribedIsUncertain) {
  Child child([&](auto) {
    send_ask(connect_here());
    run("/bin/sleep", "1000");
  });
  child.wait_exec();
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
}

TEST_F(BpfClient, WithADuplicateIsTheProbersToName) {
  Child child([&](auto ready) {
    int const fd = connect_here();
    ::dup(fd);
    send_ask(fd);
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
}

TEST_F(BpfClient, SharedWithAForkIsTheProbersToName) {
  Child child([&](auto ready) {
    int const fd = connect_here();
    if (fork_with_me() == 0) pause_forever();
    send_ask(fd);
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holder_pids.size(), 2u);
}

TEST_F(BpfClient, WhoseForkSendsIsTheProbersToName) {
  Child child([&](auto ready) {
    int const fd = connect_here();
    if (fork_with_me() == 0) {
      send_ask(fd);
      ready();
    }
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holder_pids.size(), 2u);
}

TEST_F(BpfClient, WhoseForkSentAndEndedIsNobody) {
  Child child([&](auto ready) {
    int const fd = connect_here();
    auto const other = fork_with_me();
    if (other == 0) {
      send_ask(fd);
      ::_exit(0);
    }
    ::waitpid(other, nullptr, 0);
    ready();
    pause_forever();
  });
  child.wait_ready();
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
}

TEST_F(BpfClient, WhoPassedTheDescriptorOnIsTheProbersToName) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child child([&](auto ready) {
    int const fd = connect_here();
    send_descriptor(pair[0], fd);  // stays in flight: no process shows it
    send_ask(fd);
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  ::close(pair[0]);
  ::close(pair[1]);
}

// The trick of a descriptor in flight: whoever looks at /proc finds only the respectable program.
TEST_F(BpfClient, InFlightWhileTheConnectorExecsIsUncertain) {
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

TEST_F(BpfClient, WithThreadsIsNamed) {
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

TEST_F(BpfClient, WithThreadsAndADuplicateIsTheProbersToName) {
  Child child([&](auto ready) {
    Sending sending{connect_here(), ready};
    ::dup(sending.fd);
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, send_in_thread, &sending) != 0) ::_exit(97);
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
}

TEST_F(BpfClient, WhoseDescriptorTableIsAnothersTooIsTheProbersToName) {
  Child child([&](auto ready) {
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
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holder_pids.size(), 2u);
}

TEST_F(BpfClient, ThatChangesItsUserBeforeItSendsIsTheProbersToName) {
  Child child([&](auto ready) {
    int const fd = connect_here();
    become(33, 44);
    send_ask(fd);
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holders[0]->process.effective_uid, 33u);
}

TEST_F(BpfClient, ThatChangedItsUserBetweenSocketAndConnectIsNamed) {
  Child child([&](auto ready) {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    become(33, 44);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(80);
    auto const four = service_.address.v4();
    std::memcpy(&address.sin_addr, four.data(), four.size());
    if (::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) ::_exit(97);
    send_ask(fd);
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  EXPECT_BY_KERNEL(result, child.pid());
  EXPECT_EQ(result->holders[0]->process.effective_uid, 33u);
  EXPECT_EQ(result->socket_uid, 0u);
}

TEST_F(BpfClient, ThatIsTracedIsTheProbersToName) {
  Child child([&](auto ready) {
    auto const tracee = fork_with_me();
    if (tracee == 0) {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(97);
      send_ask(connect_here());
      ready();
      pause_forever();
    }
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holders[0]->process.executable->unproven, Unproven::traced);
}

TEST_F(BpfClient, ConnectedAnewByAForkIsTheForks) {
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
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(80);
      auto const four = service_.address.v4();
      std::memcpy(&address.sin_addr, four.data(), four.size());
      if (::connect(fd, &nothing, sizeof nothing) != 0 ||
          ::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) {
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
  EXPECT_NE(reason_of(ask(first_flow, kAskSize)), "named") << "its connection is no more";
  ::close(go[0]);
  ::close(go[1]);
}

TEST_F(BpfClient, OnAReusedPortIsNotTakenForTheOneBefore) {
  auto const connect_from = [&](std::uint16_t port) {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    int const one = 1;
    linger const reset{1, 0};
    sockaddr_in source{}, address{};
    source.sin_family = address.sin_family = AF_INET;
    source.sin_port = htons(port);
    address.sin_port = htons(80);
    auto const four = service_.address.v4();
    std::memcpy(&address.sin_addr, four.data(), four.size());
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (::bind(fd, reinterpret_cast<sockaddr *>(&source), sizeof source) != 0 ||
        ::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) {
      ::_exit(97);
    }
    return fd;
  };
  Child one([&](auto ready) {
    int const fd = connect_from(45555);
    send_ask(fd);
    ready();
    pause_forever();
  });
  one.wait_ready();
  EXPECT_BY_KERNEL(named_after(kAskSize), one.pid());
  auto const first = flow_;
  one.end();
  EXPECT_FALSE(bpf_->connections().find(first.socket->cookie)) << "removed when it closed";
  Child two([&](auto ready) {
    send_ask(connect_from(45555));
    ready();
    pause_forever();
  });
  two.wait_ready();
  EXPECT_BY_KERNEL(named_after(kAskSize), two.pid());
  EXPECT_EQ(flow_.client, first.client);
}

// What is registered in a ring is held by whoever has the ring, and no table of descriptors shows it.
TEST_F(BpfClient, ThatHasAnIoUringIsTheProbersToName) {
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
  auto const result = ask(flow_, kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
}

TEST_F(BpfClient, OverMptcpIsTheProbersToName) {
  HeldFd const tried(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
  if (!tried) GTEST_SKIP() << "no MPTCP here: " << std::strerror(errno);
  Child child([&](auto ready) {
    int const fd = ::socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(80);
    auto const four = service_.address.v4();
    std::memcpy(&address.sin_addr, four.data(), four.size());
    if (::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) ::_exit(97);
    send_ask(fd);
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
}

// connect(2) sends no SYN here; the first send does, and may be another's.
TEST_F(BpfClient, WithADeferredSynOfAnExecdProgramIsUncertain) {
  auto const cat = temp_.copy("/bin/cat", "other");
  auto const file = temp_.path / "request";
  EndlessRequest const request(file);
  std::ofstream("/proc/sys/net/ipv4/tcp_fastopen") << "5";  // clients, also without a cookie
  Child child([&](auto) {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    int const one = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(80);
    auto const four = service_.address.v4();
    std::memcpy(&address.sin_addr, four.data(), four.size());
    if (::setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one) != 0 ||
        ::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) {
      ::_exit(97);
    }
    ::dup2(fd, STDOUT_FILENO);
    ::close(fd);
    run(cat, file.string());
  });
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
}

TEST_F(BpfClient, ThatConnectsAndSendsInOneCallIsNamed) {
  Child child([&](auto ready) {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(80);
    auto const four = service_.address.v4();
    std::memcpy(&address.sin_addr, four.data(), four.size());
    if (::sendto(fd, kAsk, kAskSize, MSG_FASTOPEN, reinterpret_cast<sockaddr *>(&address), sizeof address) !=
        static_cast<ssize_t>(kAskSize)) {
      ::_exit(97);
    }
    ready();
    pause_forever();
  });
  child.wait_ready();
  EXPECT_BY_KERNEL(named_after(kAskSize), child.pid());
}

}  // namespace
}  // namespace imdsgate::test
