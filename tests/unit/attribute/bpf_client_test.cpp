// Whom the kernel's own record names, and when one who holds his socket alone is asked about all the same.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <fcntl.h>

#include <boost/asio/co_spawn.hpp>
#include <cstring>
#include <fstream>

#include "attribute/proc_dir.hpp"
#include "bpf_host.hpp"

namespace imdsgate::test {
namespace {

using namespace std::chrono_literals;

using BpfClient = BpfHost;

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

TEST_F(BpfClient, IsNamedWithItsParentWithoutAQuestionWhoHoldsTheSocket) {
  Child child = waiting([&] {
    become(33, 44);
    send_ask(connect_here());
  });
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
  Child child = waiting([&] { send_ask(connect_here()); });
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
  Child child = waiting([&] { send_ask(connect_v6_mapped()); });
  EXPECT_BY_KERNEL(named_after(kAskSize), child.pid());
}

TEST_F(BpfClient, ThatSendsByWriteAndSendfileIsNamed) {
  auto const file = temp_.path / "request";
  std::ofstream(file) << kAsk;
  Child child = waiting([&] {
    int const fd = connect_here();
    int const from = ::open(file.c_str(), O_RDONLY);
    if (::write(fd, kAsk, kAskSize) != static_cast<ssize_t>(kAskSize)) ::_exit(97);
    if (::sendfile(fd, from, nullptr, kAskSize) != static_cast<ssize_t>(kAskSize)) ::_exit(97);
  });
  EXPECT_BY_KERNEL(named_after(2 * kAskSize), child.pid());
}

TEST_F(BpfClient, BeforeItSentIsTheProbersToName) {
  Child child = waiting([&] { connect_here(); });
  EXPECT_BY_PROBER(ask(accept_known(), 0), child.pid(), 1u);
}

TEST_F(BpfClient, OfWhichMoreCameThanTheKernelCountedIsUncertain) {
  Child child = waiting([&] { send_ask(connect_here()); });
  accept_known();
  EXPECT_NOBODY(ask(flow_, kAskSize + 1), Reason::holder_uncertain);
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
  Child child([&](auto ready) {
    send_ask(connect_here());
    ready();
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  child.wait_ready();
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

TEST_F(BpfClient, ThatChangesItsUserBeforeItSendsIsTheProbersToName) {
  Child child = waiting([&] {
    int const fd = connect_here();
    become(33, 44);
    send_ask(fd);
  });
  auto const result = named_after(kAskSize);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->holders[0]->process.effective_uid, 33u);
}

TEST_F(BpfClient, ThatChangedItsUserBetweenSocketAndConnectIsNamed) {
  Child child = waiting([&] {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    become(33, 44);
    sockaddr_in const address = service_address();
    if (::connect(fd, reinterpret_cast<sockaddr const *>(&address), sizeof address) != 0) ::_exit(97);
    send_ask(fd);
  });
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

TEST_F(BpfClient, OnAReusedPortIsNotTakenForTheOneBefore) {
  Child one = waiting([&] {
    int const fd = connect_from(45555);
    send_ask(fd);
  });
  EXPECT_BY_KERNEL(named_after(kAskSize), one.pid());
  auto const first = flow_;
  one.end();
  EXPECT_TRUE(bpf_->connections().find(*first.recorded)) << "who sent may still be asked about";
  accepted_.clear();
  EXPECT_FALSE(bpf_->connections().find(*first.recorded)) << "removed when both ends were closed";
  Child two = waiting([&] { send_ask(connect_from(45555)); });
  EXPECT_BY_KERNEL(named_after(kAskSize), two.pid());
  EXPECT_EQ(flow_.client, first.client);
}

TEST_F(BpfClient, WhomNobodyHadTheTimeToDescribeIsNamedOnceSomebodyHas) {
  auto options = patient();
  options.pool.warm = options.pool.limit = options.pool.waiting = 1;
  bpf_.reset();
  start(std::move(options));
  load();
  Child child = waiting([&] { send_ask(connect_here()); });
  accept_known();
  receive(kAskSize);
  // The only worker has a question and another waits: whatever else is asked is refused at once.
  run_until([&] { return !client_->worker_pids().empty(); });
  auto const worker = client_->worker_pids().front();
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  auto const self = stat_of(::getpid());
  ASSERT_TRUE(self);
  int answered = 0;
  for (int i = 0; i < 2; ++i) {
    boost::asio::co_spawn(io_, client_->lineage({::getpid(), self->start_ticks}, std::chrono::steady_clock::now() + 60s),
                          [&](std::exception_ptr, auto const &) { ++answered; });
  }
  std::optional<AttributionResult> result;
  boost::asio::co_spawn(io_, bpf_->attribute(flow_, kAskSize),
                        [&](std::exception_ptr, AttributionResult named) { result = std::move(named); });
  // To describe it, to find the socket's holders, and to describe it again.
  run_until([&] { return client_->counters().refused_busy >= 3; });
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
  run_until([&] { return result && answered == 2; });
  EXPECT_BY_KERNEL(*result, child.pid());
}

TEST_F(BpfClient, OverMptcpIsTheProbersToName) {
  HeldFd const tried(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
  if (!tried) GTEST_SKIP() << "no MPTCP here: " << std::strerror(errno);
  Child child = waiting([&] {
    int const fd = ::socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    sockaddr_in const address = service_address();
    if (::connect(fd, reinterpret_cast<sockaddr const *>(&address), sizeof address) != 0) ::_exit(97);
    send_ask(fd);
  });
  EXPECT_BY_PROBER(named_after(kAskSize), child.pid(), 1u);
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
    sockaddr_in const address = service_address();
    if (::setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one) != 0 ||
        ::connect(fd, reinterpret_cast<sockaddr const *>(&address), sizeof address) != 0) {
      ::_exit(97);
    }
    ::dup2(fd, STDOUT_FILENO);
    ::close(fd);
    run(cat, file.string());
  });
  EXPECT_NOBODY(named_after(kAskSize), Reason::holder_uncertain);
}

TEST_F(BpfClient, ThatConnectsAndSendsInOneCallIsNamed) {
  Child child = waiting([&] {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in const address = service_address();
    if (::sendto(fd, kAsk, kAskSize, MSG_FASTOPEN, reinterpret_cast<sockaddr const *>(&address),
                 sizeof address) != static_cast<ssize_t>(kAskSize)) {
      ::_exit(97);
    }
  });
  EXPECT_BY_KERNEL(named_after(kAskSize), child.pid());
}

}  // namespace
}  // namespace imdsgate::test
