#include "intercept/bridges.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/intercept/network_namespace.hpp"

namespace imdsgate {
namespace {

using test::sh;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Bridges, AreThisHostsOwn) {
  IN_NETWORK_NAMESPACE([] {
    sh("ip link add br0 type bridge");
    sh("ip link add uplink type bridge");
    sh("ip link add six type bridge");
    sh("ip link add v0 type veth peer name v1");
    sh("ip address add 10.9.0.2/24 dev uplink");
    sh("ip address add fd09::2/64 dev six nodad");
    for (auto const name : {"br0", "uplink", "six", "v0"}) sh("ip link set " + std::string(name) + " up");
    sh("ip route add default via 10.9.0.1 table 77");
    sh("ip -6 route add default via fd09::1");
    std::vector<std::string> const names = {"br0", "later", "lo", "v0", "uplink", "six"};
    auto const found = look_at_interfaces(names);
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_THAT(why_not_bridges(*found),
                ElementsAre(HasSubstr("lo is not a bridge"), HasSubstr("v0 is not a bridge"),
                            HasSubstr("uplink is an uplink"), HasSubstr("six is an uplink")));
  });
}

}  // namespace
}  // namespace imdsgate
