// What the rules do to connections: who is redirected, who passes, who is refused. In namespaces of the
// tests' own, where the guarded addresses are the tests' own too.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mntent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "intercept/descriptor.hpp"
#include "intercept/exemption.hpp"
#include "intercept/firewall.hpp"
#include "intercept/listening.hpp"
#include "intercept/xtables.hpp"
#include "unit/intercept/network_namespace.hpp"

namespace imdsgate {
namespace {

using test::sh;

constexpr std::uint32_t kMark = 0x1d5;
constexpr uid_t kDaemon = 65533;

struct Sockaddr {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr *get() { return reinterpret_cast<sockaddr *>(&storage); }
};

Sockaddr sockaddr_of(Endpoint const &endpoint) {
  Sockaddr result;
  if (endpoint.address.is_v4()) {
    auto *four = reinterpret_cast<sockaddr_in *>(&result.storage);
    four->sin_family = AF_INET;
    four->sin_port = htons(endpoint.port);
    std::memcpy(&four->sin_addr, endpoint.address.v4().data(), 4);
    result.size = sizeof *four;
  } else {
    auto *six = reinterpret_cast<sockaddr_in6 *>(&result.storage);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(endpoint.port);
    std::memcpy(&six->sin6_addr, endpoint.address.bytes().data(), 16);
    result.size = sizeof *six;
  }
  return result;
}

Descriptor listen_on(Endpoint const &endpoint) {
  auto address = sockaddr_of(endpoint);
  Descriptor fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int const on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  EXPECT_EQ(::bind(fd.get(), address.get(), address.size), 0)
      << endpoint.to_string() << ": " << std::strerror(errno);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  return fd;
}

// A connection that is established on one side may be in the other's queue a moment later.
bool accepts(Descriptor const &listener) {
  pollfd waiting{listener.get(), POLLIN, 0};
  if (::poll(&waiting, 1, 5000) != 1) return false;
  Descriptor const accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return static_cast<bool>(accepted);
}

bool nobody_at(Descriptor const &listener) {
  pollfd waiting{listener.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 0;
}

struct Client {
  uid_t uid = 1000;
  std::uint32_t mark = 0;
  std::string interface;
};

// 0, or the errno of connecting; ETIMEDOUT after five seconds.
int connect_as(Client const &client, Endpoint const &endpoint) {
  auto address = sockaddr_of(endpoint);
  // The owner match looks at the credentials the socket was made with.
  EXPECT_EQ(::seteuid(client.uid), 0);
  Descriptor const fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::seteuid(0), 0);
  if (client.mark != 0) {
    EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &client.mark, sizeof client.mark), 0);
  }
  if (!client.interface.empty()) {
    EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, client.interface.c_str(),
                           static_cast<socklen_t>(client.interface.size())),
              0);
  }
  if (::connect(fd.get(), address.get(), address.size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting{fd.get(), POLLOUT, 0};
  if (::poll(&waiting, 1, 5000) == 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

class Traffic : public ::testing::TestWithParam<std::tuple<FirewallBackend, bool>> {
 protected:
  FirewallBackend backend() const { return std::get<0>(GetParam()); }
  bool ipv6() const { return std::get<1>(GetParam()); }
  Endpoint guarded() const { return {*Address::parse(ipv6() ? "fd00:ec2::254" : "169.254.169.254"), 80}; }
  Endpoint loopback() const { return {*Address::parse(ipv6() ? "::1" : "127.0.0.1"), 880}; }
  std::string iptables() const {
    return std::string(ipv6() ? "ip6tables-" : "iptables-") + std::string(to_string(backend()));
  }
  FirewallSpec spec(bool fence) const {
    FirewallSpec spec;
    spec.endpoints = {guarded()};
    spec.exemption = {kMark, 0xffff, kDaemon, std::nullopt};
    spec.fence = fence;
    spec.backend = backend();
    return spec;
  }
  void apply(FirewallSpec const &spec) const {
    auto const applied = apply_firewall(spec);
    ASSERT_TRUE(applied) << applied.error().detail;
  }
  // nodad: even on loopback an IPv6 address is tentative for a moment, and cannot be bound then.
  void guarded_address_on_loopback() const {
    sh("ip address add " + guarded().address.to_string() + (ipv6() ? "/128 dev lo nodad" : "/32 dev lo"));
  }
};

INSTANTIATE_TEST_SUITE_P(Live, Traffic,
                         ::testing::Combine(::testing::Values(FirewallBackend::nft, FirewallBackend::legacy),
                                            ::testing::Bool()),
                         [](auto const &info) {
                           return std::string(to_string(std::get<0>(info.param))) +
                                  (std::get<1>(info.param) ? "_ipv6" : "_ipv4");
                         });

TEST_P(Traffic, ExemptsMarkAndUidTogetherAndNeitherAlone) {
  IN_NETWORK_NAMESPACE([&] {
    guarded_address_on_loopback();
    auto const service = listen_on(guarded()), gateway = listen_on(loopback());
    for (bool const fence : {false, true}) {
      apply(spec(fence));
      struct Case {
        Client client;
        bool exempt;
      };
      for (auto const &[client, exempt] :
           {Case{{kDaemon, kMark, ""}, true}, Case{{1000, kMark, ""}, false}, Case{{kDaemon, 0, ""}, false},
            Case{{kDaemon, 0x1d4, ""}, false}, Case{{0, kMark, ""}, false},
            Case{{kDaemon, kMark | 0x10000, ""}, true}}) {
        SCOPED_TRACE(std::to_string(client.uid) + " with mark " + std::to_string(client.mark));
        EXPECT_EQ(connect_as(client, guarded()), 0);
        EXPECT_TRUE(accepts(exempt ? service : gateway));
        EXPECT_TRUE(nobody_at(exempt ? gateway : service));
      }
    }
  });
}

TEST_P(Traffic, TheFenceRejectsWhatNotrackLetsPast) {
  IN_NETWORK_NAMESPACE([&] {
    guarded_address_on_loopback();
    auto const service = listen_on(guarded()), gateway = listen_on(loopback());
    auto const other = listen_on({guarded().address, 8080});
    sh(iptables() + " -t raw -A OUTPUT -d " + guarded().address.to_string() + " -j NOTRACK");
    apply(spec(false));
    EXPECT_EQ(connect_as({}, guarded()), 0);
    EXPECT_TRUE(accepts(service)) << "without a fence the rule should have let it past";
    apply(spec(true));
    EXPECT_EQ(connect_as({}, guarded()), ECONNREFUSED);
    EXPECT_TRUE(nobody_at(service));
    EXPECT_EQ(connect_as({kDaemon, kMark, ""}, guarded()), 0);
    EXPECT_TRUE(accepts(service));
    EXPECT_EQ(connect_as({}, {guarded().address, 8080}), 0) << "only the endpoint's own port is fenced";
    auto const scanned = scan_foreign_rules(spec(true));
    ASSERT_TRUE(scanned);
    ASSERT_EQ(scanned->rules.size(), 1U);
    EXPECT_EQ(scanned->rules.front().where, iptables() + " raw/OUTPUT");
  });
}

TEST_P(Traffic, TheFenceAloneRefusesAndRemovingItOpens) {
  IN_NETWORK_NAMESPACE([&] {
    guarded_address_on_loopback();
    auto const service = listen_on(guarded());
    auto kept = spec(true);
    kept.redirect = false;
    apply(kept);
    EXPECT_EQ(connect_as({}, guarded()), ECONNREFUSED);
    ASSERT_TRUE(remove_firewall());
    EXPECT_EQ(connect_as({}, guarded()), 0);
    EXPECT_TRUE(accepts(service));
  });
}

TEST_P(Traffic, ABoundClientReachesTheListenerOnTheInterface) {
  IN_NETWORK_NAMESPACE([&] {
    sh("ip link add eth0 type veth peer name far0");
    sh("ip link set far0 up");
    sh("ip link set eth0 up");
    std::string const own = ipv6() ? "fd01::2" : "10.1.0.2", router = ipv6() ? "fd01::1" : "10.1.0.1";
    sh(ipv6() ? "ip -6 address add " + own + "/64 dev eth0 nodad" : "ip address add " + own + "/24 dev eth0");
    sh((ipv6() ? "ip -6 route add " : "ip route add ") + guarded().address.to_string() + " via " + router +
       " dev eth0");
    auto spec = this->spec(true);
    spec.interfaces = {{"eth0", *Address::parse(own)}};
    apply(spec);
    auto const status = firewall_status(spec);
    ASSERT_TRUE(status);
    for (auto const &family : status->families) {
      EXPECT_TRUE(family.as_specified) << ::testing::PrintToString(family.differences);
    }
    auto const on_interface = listen_on({*Address::parse(own), 880}), on_loopback = listen_on(loopback());
    EXPECT_EQ(connect_as({1000, 0, "eth0"}, guarded()), 0) << "bound";
    EXPECT_TRUE(accepts(on_interface));
    EXPECT_EQ(connect_as({1000, 0, ""}, guarded()), 0) << "unbound";
    EXPECT_TRUE(accepts(on_interface));
    EXPECT_TRUE(nobody_at(on_loopback));
  });
}

// The cgroup2 hierarchy, or empty.
std::string cgroup_root() {
  std::string root;
  std::FILE *mounts = ::setmntent("/proc/self/mounts", "re");
  while (auto const *mount = ::getmntent(mounts)) {
    if (std::string(mount->mnt_type) == "cgroup2") root = mount->mnt_dir;
  }
  ::endmntent(mounts);
  return root;
}

// A cgroup of this process's own, removed with it.
class Cgroup {
 public:
  explicit Cgroup(std::string root) : root_(std::move(root)) {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("0::")) home_ = line.substr(3);
    }
  }
  Cgroup(Cgroup const &) = delete;
  Cgroup &operator=(Cgroup const &) = delete;
  ~Cgroup() {
    leave();
    remove();
  }
  std::string path() const { return "imdsgate-test-" + std::to_string(::getpid()) + ".service"; }
  bool make() const { return ::mkdir((root_ + '/' + path()).c_str(), 0755) == 0; }
  void remove() const { ::rmdir((root_ + '/' + path()).c_str()); }
  void enter() const { std::ofstream(root_ + '/' + path() + "/cgroup.procs") << ::getpid() << std::flush; }
  void leave() const { std::ofstream(root_ + home_ + "/cgroup.procs") << ::getpid() << std::flush; }

 private:
  std::string root_, home_ = "/";
};

TEST_P(Traffic, ExemptsTheUnitsCgroupAndNoOther) {
  auto const root = cgroup_root();
  if (root.empty()) GTEST_SKIP() << "no cgroup2 hierarchy is mounted";
  IN_NETWORK_NAMESPACE([&] {
    guarded_address_on_loopback();
    auto const service = listen_on(guarded()), gateway = listen_on(loopback());
    Cgroup const cgroup(root);
    ASSERT_TRUE(cgroup.make()) << std::strerror(errno);
    auto spec = this->spec(true);
    spec.exemption.cgroup = cgroup.path();
    apply(spec);
    auto const as_specified = [&] {
      auto const status = firewall_status(spec);
      EXPECT_TRUE(status);
      return status && status->families[0].as_specified && status->families[1].as_specified;
    };
    EXPECT_TRUE(as_specified());
    Client const daemon{kDaemon, kMark, ""};
    EXPECT_EQ(connect_as(daemon, guarded()), 0);
    EXPECT_TRUE(accepts(gateway)) << "outside the cgroup it is not exempt";
    cgroup.enter();
    EXPECT_EQ(connect_as(daemon, guarded()), 0);
    EXPECT_TRUE(accepts(service)) << "inside it is";
    EXPECT_EQ(connect_as({1000, kMark, ""}, guarded()), 0);
    EXPECT_TRUE(accepts(gateway)) << "inside, another uid is not";
    // A restarted unit has a new cgroup of the same path: the old rule does not know it, a new apply does.
    cgroup.leave();
    cgroup.remove();
    ASSERT_TRUE(cgroup.make());
    cgroup.enter();
    EXPECT_EQ(connect_as(daemon, guarded()), 0);
    EXPECT_TRUE(accepts(gateway)) << "the rule names a cgroup that is gone";
    apply(spec);
    EXPECT_EQ(connect_as(daemon, guarded()), 0);
    EXPECT_TRUE(accepts(service));
    EXPECT_TRUE(as_specified());
  });
}

TEST(ListeningSockets, NamesTheAddressAndTheUid) {
  IN_NETWORK_NAMESPACE([&] {
    auto none = listening_sockets(880);
    ASSERT_TRUE(none) << none.error().detail;
    EXPECT_TRUE(none->empty());
    auto const four = listen_on({*Address::parse("127.0.0.1"), 880}),
               six = listen_on({*Address::parse("::1"), 880});
    auto const other = listen_on({*Address::parse("127.0.0.1"), 881});
    auto const found = listening_sockets(880);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 2U);
    EXPECT_EQ((*found)[0].address.to_string(), "127.0.0.1");
    EXPECT_EQ((*found)[1].address.to_string(), "::1");
    EXPECT_EQ((*found)[0].uid, 0U);
    EXPECT_EQ(find_exemption(kMark, 0xffff, 880).uid, 0U);
  });
}

}  // namespace
}  // namespace imdsgate
