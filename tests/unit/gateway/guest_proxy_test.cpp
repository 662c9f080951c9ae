// Which process is Azure's guest proxy, read from a /proc of the test's own.
#include "gateway/guest_proxy.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "unit/gateway/temporary_directory.hpp"

namespace imdsgate {
namespace {

struct ProcessCase {
  char const *comm, *uids, *cgroup;
  bool is_it;
};

TEST(GuestProxy, IsOneOfRootsWithItsNameOrInItsUnit) {
  constexpr char const *kRoot = "0\t0\t0\t0";
  for (auto const &[comm, uids, cgroup, is_it] : {
           ProcessCase{"azure-proxy-age", kRoot, "0::/system.slice/azure-proxy-agent.service", true},
           ProcessCase{"azure-proxy-age", kRoot, "0::/", true},
           ProcessCase{"ProxyAgent", kRoot, "0::/system.slice/GuestProxyAgent.service", true},
           ProcessCase{"bash", kRoot, "0::/system.slice/azure-proxy-agent.service/sub", false},
           ProcessCase{"azure-proxy", kRoot, "0::/system.slice/ssh.service", false},
           ProcessCase{"azure-proxy-age", "1001\t1001\t1001\t1001", "0::/", false},
           ProcessCase{"azure-proxy-age", "1001\t0\t0\t0", "0::/", false},
           ProcessCase{"x", "1001\t1001\t1001\t1001", "0::/user.slice/azure-proxy-agent.service", false},
       }) {
    test::TemporaryDirectory proc;
    for (char const *number : {"1", "812", "self", "sys"}) std::filesystem::create_directory(proc / number);
    std::ofstream(proc / "1/comm") << "systemd\n";
    std::ofstream(proc / "812/comm") << comm << '\n';
    std::ofstream(proc / "812/status") << "Name:\t" << comm << "\nUid:\t" << uids << "\nGid:\t0\t0\t0\t0\n";
    std::ofstream(proc / "812/cgroup") << cgroup << '\n';
    auto const found = find_guest_proxy(proc / "");
    auto const expected = is_it ? "process 812 (" + std::string(comm) + ")" : "none";
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_EQ(found->value_or("none"), expected) << comm << ' ' << uids << ' ' << cgroup;
  }
}

// hidepid leaves a user his own processes: that root's are not seen is no sign of their not being there.
TEST(GuestProxy, IsUnknownWhereRootsProcessesAreHidden) {
  test::TemporaryDirectory proc;
  std::filesystem::create_directory(proc / "812");
  EXPECT_FALSE(find_guest_proxy(proc / ""));
}

}  // namespace
}  // namespace imdsgate
