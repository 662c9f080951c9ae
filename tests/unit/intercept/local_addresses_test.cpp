// The host's addresses, their changes, and entering a namespace: each in namespaces of the tests' own.
#include "intercept/local_addresses.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <fstream>

#include "intercept/change_watch.hpp"
#include "intercept/descriptor.hpp"
#include "intercept/netns.hpp"
#include "unit/intercept/network_namespace.hpp"

namespace imdsgate {
namespace {

using test::sh;
using ::testing::UnorderedElementsAre;

InterfaceAddress at(std::string const &interface, std::string const &address) {
  return {interface, *Address::parse(address)};
}

TEST(LocalAddresses, ListsAllAndWhatCanBeListenedOn) {
  IN_NETWORK_NAMESPACE([] {
    auto const bare = read_local_addresses();
    ASSERT_TRUE(bare) << bare.error().detail;
    EXPECT_THAT(bare->all, UnorderedElementsAre(at("lo", "127.0.0.1"), at("lo", "::1")));
    EXPECT_TRUE(bare->listenable.empty());
    EXPECT_TRUE(bare->ipv6);

    sh("ip link add eth0 type veth peer name far0");
    sh("ip link set eth0 address 02:00:00:00:00:01");
    sh("ip link add down0 type veth peer name odd+");
    for (auto const link : {"eth0", "far0", "odd+"}) sh(std::string("ip link set ") + link + " up");
    sh("ip address add 10.1.0.2/24 dev eth0");
    sh("ip address add 10.1.0.3/24 dev eth0");
    sh("ip address add 10.2.0.1/24 dev down0");
    sh("ip address add 10.3.0.1/24 dev odd+");
    sh("ip address add 169.254.1.1/16 dev far0 scope link");
    sh("ip -6 address add fd01::2/64 dev eth0 nodad");
    sh("ip -6 address add fd01::3/64 dev far0 nodad preferred_lft 0");  // deprecated
    auto const local = read_local_addresses();
    ASSERT_TRUE(local);
    EXPECT_THAT(local->listenable, UnorderedElementsAre(at("eth0", "10.1.0.2"), at("eth0", "fd01::2")));
    for (auto const own :
         {"127.0.0.1", "::1", "10.1.0.2", "10.1.0.3", "10.2.0.1", "10.3.0.1", "169.254.1.1", "fd01::3"}) {
      EXPECT_TRUE(local->contains(*Address::parse(own))) << own;
    }
    EXPECT_TRUE(local->contains(*Address::parse("::ffff:10.1.0.2")));
    EXPECT_FALSE(local->contains(*Address::parse("10.1.0.1")));
    EXPECT_FALSE(local->contains(Address()));
  });
}

TEST(LocalAddresses, WithoutIpv6) {
  IN_NETWORK_NAMESPACE([] {
    sh("ip -6 address del ::1/128 dev lo");
    auto const local = read_local_addresses();
    ASSERT_TRUE(local);
    EXPECT_FALSE(local->ipv6);
  });
}

bool readable(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, 5000) == 1;
}

TEST(ChangeWatch, TellsOfChangesAndOnlyOfThose) {
  IN_NETWORK_NAMESPACE([] {
    auto watch = ChangeWatch::of_addresses();
    ASSERT_TRUE(watch) << watch.error().detail;
    ASSERT_TRUE(watch->drain());
    auto const quiet = watch->drain();
    ASSERT_TRUE(quiet);
    EXPECT_FALSE(*quiet);
    for (auto const change :
         {"ip address add 10.9.0.1/32 dev lo", "ip -6 address add fd09::1/128 dev lo",
          "ip link add eth0 type veth peer name far0", "ip address del 10.9.0.1/32 dev lo"}) {
      sh(change);
      ASSERT_TRUE(readable(watch->fd())) << change;
      auto const changed = watch->drain();
      ASSERT_TRUE(changed) << changed.error().detail;
      EXPECT_TRUE(*changed) << change;
      EXPECT_FALSE(*watch->drain()) << change;
    }
  });
}

TEST(ChangeWatch, AnOverrunIsAChange) {
  IN_NETWORK_NAMESPACE([] {
    auto watch = ChangeWatch::of_addresses();
    ASSERT_TRUE(watch);
    int const small = 1;
    ASSERT_EQ(::setsockopt(watch->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    std::string batch;
    for (int i = 1; i < 200; ++i) batch += "address add 10.8.0." + std::to_string(i) + "/32 dev lo\n";
    sh("ip -batch -", batch);
    auto const changed = watch->drain();
    ASSERT_TRUE(changed) << changed.error().detail;
    EXPECT_TRUE(*changed);
    EXPECT_FALSE(*watch->drain());
  });
}

TEST(NetworkNamespace, IsEnteredByNameAndByPath) {
  IN_NETWORK_NAMESPACE([] {
    sh("ip netns add other");
    sh("ip -n other link set lo up");
    sh("ip -n other address add 10.7.0.1/32 dev lo");
    Descriptor const home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    for (auto const name : {"other", "/run/netns/other"}) {
      auto const entered = enter_network_namespace(name);
      ASSERT_TRUE(entered) << entered.error().detail;
      EXPECT_TRUE(read_local_addresses()->contains(*Address::parse("10.7.0.1")));
      ASSERT_EQ(::setns(home.get(), CLONE_NEWNET), 0);
      EXPECT_FALSE(read_local_addresses()->contains(*Address::parse("10.7.0.1")));
    }
    EXPECT_EQ(enter_network_namespace("absent").error().code, Errc::not_found);
    EXPECT_EQ(enter_network_namespace("").error().code, Errc::malformed);
    EXPECT_EQ(enter_network_namespace("..").error().code, Errc::malformed);
    EXPECT_EQ(enter_network_namespace("/proc/self/ns/pid").error().code, Errc::malformed);
    EXPECT_EQ(enter_network_namespace("/dev/null").error().code, Errc::malformed);
  });
}

TEST(ChangeWatch, TellsOfNfTablesRules) {
  IN_NETWORK_NAMESPACE([] {
    auto watch = ChangeWatch::of_nf_tables();
    ASSERT_TRUE(watch) << watch.error().detail;
    EXPECT_EQ(*watch->drain(), false);
    test::sh("iptables-nft -A OUTPUT -d 169.254.169.254 -j DROP");
    EXPECT_EQ(*watch->drain(), true);
    EXPECT_EQ(*watch->drain(), false);
    test::sh("iptables-nft -S OUTPUT");
    EXPECT_EQ(*watch->drain(), false) << "looking changes nothing";
  });
}

}  // namespace
}  // namespace imdsgate
