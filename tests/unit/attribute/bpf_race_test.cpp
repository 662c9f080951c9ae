// What the kernel wrote down may be late, and there is only so much of it.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include <cstring>

#include "bpf_host.hpp"

namespace imdsgate::test {
namespace {

using BpfRace = BpfHost;

// A send is counted when it ends, and a large one ends long after its first bytes arrived: what arrived from
// it must not be put down to who sent before.
TEST_F(BpfRace, BytesOfASendThatIsNotOverAreNotTheEarlierSenders) {
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child child([&](auto ready) {
    int const fd = connect_here();
    if (::send(fd, "G", 1, 0) != 1) ::_exit(97);
    if (fork_with_me() == 0) {
      char byte = 0;
      if (::read(go[0], &byte, 1) != 1) ::_exit(97);
      std::string const large(64u << 20, 'E');
      (void)::send(fd, large.data(), large.size(), 0);  // the test ends before it does
      ::_exit(97);
    }
    ::close(fd);
    ready();
    pause_forever();
  });
  child.wait_ready();
  accept_known();
  receive(1);
  auto const before = ask(flow_, 1);
  ASSERT_NAMED(before);
  ASSERT_EQ(before->method, Attribution::Method::bpf) << "of the one byte it is known who sent it";
  ASSERT_EQ(before->holders[0]->process.id.tgid, child.pid());
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  receive(100'000);
  auto const entry = bpf_->connections().find(*flow_.recorded);
  ASSERT_TRUE(entry);
  ASSERT_EQ(entry->sent, 1u) << "the send is not over";
  ASSERT_EQ(entry->flags, 0u);
  auto const result = ask(flow_, 100'001);
  if (result) {
    EXPECT_EQ(result->method, Attribution::Method::sock_diag);
    EXPECT_NE(result->holders[0]->process.id.tgid, child.pid());
  }
  ::close(go[0]);
  ::close(go[1]);
}

// Two that take turns on one socket, as fast as they can, while it is asked who sent: whenever the kernel's
// record alone answers, only the first has sent.
TEST_F(BpfRace, NoByteOfAnotherIsEverTheConnectors) {
  constexpr int kRounds = 50;
  int named_by_kernel = 0;
  for (int round = 0; round < kRounds; ++round) {
    Child child([&](auto ready) {
      int const fd = connect_here();
      if (::send(fd, "G", 1, 0) != 1) ::_exit(97);
      if (fork_with_me() == 0) {
        if (::send(fd, "E", 1, 0) != 1) ::_exit(97);
        ready();
        pause_forever();
      }
      ::close(fd);
      pause_forever();
    });
    accept_known();
    ASSERT_EQ(::fcntl(accepted_.back().get(), F_SETFL, O_NONBLOCK), 0);
    char buffer[2];
    std::size_t had = 0;
    while (had < 2) {  // without sleeping: as early as the bytes can be had
      auto const got = ::recv(accepted_.back().get(), buffer + had, 2 - had, 0);
      ASSERT_TRUE(got > 0 || (got < 0 && errno == EAGAIN));
      if (got > 0) had += static_cast<std::size_t>(got);
    }
    auto const result = ask(flow_, 2);
    if (result && result->method == Attribution::Method::bpf) ++named_by_kernel;
    accepted_.clear();
  }
  EXPECT_EQ(named_by_kernel, 0);
}

void connect_without_waiting(Endpoint const &service) {
  int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  linger const reset{1, 0};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(service.port);
  auto const four = service.address.v4();
  std::memcpy(&address.sin_addr, four.data(), four.size());
  if (fd < 0 || ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0) ::_exit(97);
  if (::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0 && errno != EINPROGRESS)
    ::_exit(97);
}

class BpfFlood : public BpfHost {
 protected:
  void SetUp() override {
    BpfHost::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (TestCgroup::root().empty()) GTEST_SKIP() << "no cgroup2 mount";
    flooded_ = {service_.address, 81};
    ASSERT_TRUE(bpf_->connections().guard({service_, flooded_}));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(flooded_.port);
    flooded_listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(flooded_listener_.get(), reinterpret_cast<sockaddr *>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(flooded_listener_.get(), 1), 0);
  }

  // A child of `cgroup` that does `body` there.
  Child in(TestCgroup const &cgroup, std::function<void(Child::Ready)> body) {
    int go[2];
    EXPECT_EQ(::pipe2(go, O_CLOEXEC), 0);
    Child child([&, body](auto ready) {
      char byte = 0;
      if (::read(go[0], &byte, 1) != 1) ::_exit(97);
      body(ready);
      pause_forever();
    });
    cgroup.add(child.pid());
    EXPECT_EQ(::write(go[1], "g", 1), 1);
    child.wait_ready();
    ::close(go[0]);
    ::close(go[1]);
    return child;
  }

  Child flood_in(TestCgroup const &cgroup, int connections) {
    return in(cgroup, [this, connections](auto ready) {
      auto const files = static_cast<rlim_t>(connections + 64);
      rlimit const many{files, files};
      if (::setrlimit(RLIMIT_NOFILE, &many) != 0) ::_exit(97);
      for (int i = 0; i < connections; ++i) connect_without_waiting(flooded_);
      ready();
    });
  }

  Child client_in(TestCgroup const &cgroup) {
    return in(cgroup, [this](auto ready) {
      if (::send(connect_here(), "G", 1, 0) != 1) ::_exit(97);
      ready();
    });
  }

  Endpoint flooded_;
  HeldFd flooded_listener_;
};

TEST_F(BpfFlood, TakesNothingFromAnotherCgroupAndEndsWithIt) {
  TestCgroup const here, there;
  {
    auto const flood = flood_in(here, 2 * BPF_QUOTA);
    EXPECT_EQ(bpf_->connections().counters().recorded, static_cast<std::uint64_t>(BPF_QUOTA));
    EXPECT_EQ(bpf_->connections().counters().refused_quota, static_cast<std::uint64_t>(BPF_QUOTA));
    auto const same = client_in(here);
    EXPECT_NOBODY(named_after(1), Reason::not_recorded);
    EXPECT_EQ(bpf_->counters().by_prober, 0u);
    auto const other = client_in(there);
    auto const others = named_after(1);
    ASSERT_NAMED(others);
    EXPECT_EQ(others->method, Attribution::Method::bpf);
    EXPECT_EQ(others->holders[0]->process.id.tgid, other.pid());
  }
  auto const later = client_in(here);
  auto const result = named_after(1);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::bpf) << "what was taken came back";
}

// All of one class are below one cgroup of the second level.
TEST_F(BpfFlood, OfAPodTakesNothingFromAnotherPod) {
  auto const burstable = "kubepods-imdsgate-" + std::to_string(::getpid()) + ".slice/burstable/";
  TestCgroup const here(burstable + "pod-a"), there(burstable + "pod-b");
  auto const flood = flood_in(here, BPF_QUOTA);
  auto const same = client_in(here);
  EXPECT_NOBODY(named_after(1), Reason::not_recorded);
  auto const other = client_in(there);
  auto const others = named_after(1);
  ASSERT_NAMED(others);
  EXPECT_EQ(others->method, Attribution::Method::bpf);
}

TEST_F(BpfRace, TwoDaemonsAtOnceDoNotDisturbEachOther) {
  auto second = BpfConnections::load({service_});
  ASSERT_TRUE(second) << second.error().detail;
  Child child([&](auto ready) {
    if (::send(connect_here(), "G", 1, 0) != 1) ::_exit(97);
    ready();
    pause_forever();
  });
  child.wait_ready();
  auto const result = named_after(1);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::bpf);
  auto const id = (*second)->client_of(accepted_.back().get());
  ASSERT_TRUE(id);
  auto const entry = (*second)->find(*id);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->connector.tgid, static_cast<std::uint32_t>(child.pid()));
  second->reset();
  EXPECT_EQ(ask(flow_, 1)->method, Attribution::Method::bpf);
}

TEST_F(BpfRace, WithoutCapabilitiesItDoesNotLoadAndSaysWhichAreNeeded) {
  auto const body = [&](Child::Ready ready) {
    become(65534, 65534);
    auto const loaded = BpfConnections::load({service_});
    if (loaded || loaded.error().detail.find("CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN") == std::string::npos)
      ::_exit(97);
    ready();
    pause_forever();
  };
  Child child(body);
  child.wait_ready();
}

// Loaded once, it works without any: unprivileged_bpf_disabled refuses to make maps and programs, not to read
// them.
TEST_F(BpfRace, WithoutCapabilitiesWhatWasLoadedIsRead) {
  Child client([&](auto ready) {
    if (::send(connect_here(), "G", 1, 0) != 1) ::_exit(97);
    ready();
    pause_forever();
  });
  client.wait_ready();
  accept_known();
  Child reader([&](auto ready) {
    become(65534, 65534);
    auto const id = bpf_->connections().client_of(accepted_.back().get());
    if (id != flow_.recorded) ::_exit(97);
    auto const entry = bpf_->connections().find(*id);
    auto const look = bpf_->connections().look(client.pid());
    if (!entry || !look || !same_task(entry->connector, look->process)) ::_exit(97);
    ready();
    pause_forever();
  });
  reader.wait_ready();
}

}  // namespace
}  // namespace imdsgate::test
