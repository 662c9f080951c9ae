// What stands between the gateway and the firewall: capabilities, a held lock, an unprivileged user.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/capability.h>
#include <sys/file.h>
#include <sys/prctl.h>

#include "intercept/descriptor.hpp"
#include "intercept/firewall.hpp"
#include "intercept/xtables.hpp"
#include "unit/intercept/network_namespace.hpp"

namespace imdsgate {
namespace {

using test::sh;
using ::testing::HasSubstr;

FirewallSpec spec_for(FirewallBackend backend) {
  FirewallSpec spec;
  spec.endpoints = {{*Address::parse("169.254.169.254"), 80}, {*Address::parse("fd00:ec2::254"), 80}};
  spec.exemption.uid = 65534;
  spec.fence = true;
  spec.backend = backend;
  return spec;
}

// This process and what it runs, root or not, without the capability.
void drop(cap_value_t value) {
  ASSERT_EQ(::prctl(PR_CAPBSET_DROP, value, 0, 0, 0), 0);
  cap_t const capabilities = cap_get_proc();
  for (auto const set : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE}) {
    ASSERT_EQ(cap_set_flag(capabilities, set, 1, &value, CAP_CLEAR), 0);
  }
  ASSERT_EQ(cap_set_proc(capabilities), 0);
  cap_free(capabilities);
}

// An unprivileged user with these capabilities, as a service has them.
void become_service(std::vector<cap_value_t> const &values) {
  ASSERT_EQ(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::setgroups(0, nullptr), 0);
  ASSERT_EQ(::setresgid(65534, 65534, 65534), 0);
  ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
  cap_t const capabilities = cap_init();
  for (auto const set : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE}) {
    ASSERT_EQ(cap_set_flag(capabilities, set, static_cast<int>(values.size()), values.data(), CAP_SET), 0);
  }
  ASSERT_EQ(cap_set_proc(capabilities), 0);
  cap_free(capabilities);
  for (auto const value : values) ASSERT_EQ(cap_set_ambient(value, CAP_SET), 0);
}

TEST(FirewallPermission, SaysThatNetAdminIsMissing) {
  IN_NETWORK_NAMESPACE([] {
    sh("iptables-legacy -t nat -S");
    drop(CAP_NET_ADMIN);
    for (auto const backend : {FirewallBackend::nft, FirewallBackend::legacy}) {
      auto const applied = apply_firewall(spec_for(backend));
      ASSERT_FALSE(applied);
      EXPECT_THAT(applied.error().detail, HasSubstr("CAP_NET_ADMIN is missing"));
      auto const scanned = scan_foreign_rules(spec_for(backend));
      ASSERT_FALSE(scanned) << "no rules were seen, which does not mean that there are none";
      EXPECT_THAT(scanned.error().detail, HasSubstr("CAP_NET_ADMIN is missing"));
    }
    auto const status = firewall_status(spec_for(FirewallBackend::nft));
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().detail, HasSubstr("CAP_NET_ADMIN is missing"));
    auto const removed = remove_firewall();
    ASSERT_FALSE(removed);
    EXPECT_THAT(removed.error().detail, HasSubstr("CAP_NET_ADMIN is missing"));
  });
}

TEST(FirewallPermission, SaysThatNetRawIsMissingForLegacy) {
  IN_NETWORK_NAMESPACE([] {
    drop(CAP_NET_RAW);
    auto const legacy = apply_firewall(spec_for(FirewallBackend::legacy));
    ASSERT_FALSE(legacy);
    EXPECT_THAT(legacy.error().detail, HasSubstr("CAP_NET_RAW is missing"));
    auto const nft = apply_firewall(spec_for(FirewallBackend::nft));
    EXPECT_TRUE(nft) << nft.error().detail;
  });
}

TEST(FirewallPermission, BlamesNoCapabilityThatIsThere) {
  EXPECT_EQ(::geteuid() == 0 ? missing_capability(FirewallBackend::legacy) : std::nullopt, std::nullopt);
  IN_NETWORK_NAMESPACE([] {
    EXPECT_EQ(missing_capability(FirewallBackend::legacy), std::nullopt);
    // Effective here, but not handed on to what an unprivileged process runs.
    become_service({CAP_NET_ADMIN});
    EXPECT_EQ(missing_capability(FirewallBackend::nft), std::nullopt);
    ASSERT_EQ(cap_reset_ambient(), 0);
    EXPECT_THAT(missing_capability(FirewallBackend::nft).value_or(""), HasSubstr("CAP_NET_ADMIN"));
  });
}

TEST(FirewallPermission, AServiceWithNetAdminManagesNft) {
  IN_NETWORK_NAMESPACE([] {
    become_service({CAP_NET_ADMIN});
    auto const spec = spec_for(FirewallBackend::nft);
    auto const applied = apply_firewall(spec);
    ASSERT_TRUE(applied) << applied.error().detail;
    auto const status = firewall_status(spec);
    ASSERT_TRUE(status) << status.error().detail;
    for (auto const &family : status->families) {
      EXPECT_TRUE(family.as_specified) << ::testing::PrintToString(family.differences);
    }
  });
}

TEST(FirewallPermission, AServiceWithNetRawTooManagesLegacy) {
  IN_NETWORK_NAMESPACE([] {
    sh("iptables-legacy -t nat -S");  // makes /run/xtables.lock
    sh("chmod 644 /run/xtables.lock");
    become_service({CAP_NET_ADMIN, CAP_NET_RAW});
    auto const spec = spec_for(FirewallBackend::legacy);
    auto const applied = apply_firewall(spec);
    ASSERT_TRUE(applied) << applied.error().detail;
    auto const status = firewall_status(spec);
    ASSERT_TRUE(status) << status.error().detail;
    for (auto const &family : status->families) {
      EXPECT_TRUE(family.as_specified) << ::testing::PrintToString(family.differences);
    }
    auto const scanned = scan_foreign_rules(spec);
    ASSERT_TRUE(scanned) << scanned.error().detail;
    EXPECT_TRUE(scanned->rules.empty());
  });
}

// A daemon that dropped what it could read the list with sees what others put into legacy tables afterwards.
TEST(FirewallPermission, AServiceThatHoldsTheListsSeesLegacyRulesThatCameLater) {
  IN_NETWORK_NAMESPACE([] {
    sh("iptables-legacy -t filter -S");  // makes /run/xtables.lock
    sh("chmod 644 /run/xtables.lock");
    hold_legacy_lists();
    sh("iptables-legacy -t security -A OUTPUT -d 169.254.169.254 -m owner --uid-owner 48 -j DROP");
    become_service({CAP_NET_ADMIN, CAP_NET_RAW});
    auto const scanned = scan_foreign_rules(spec_for(FirewallBackend::nft));
    ASSERT_TRUE(scanned) << scanned.error().detail;
    ASSERT_EQ(scanned->denials.size(), 1U);
    EXPECT_THAT(scanned->denials.front().name(), HasSubstr("uid 48, iptables-legacy security/OUTPUT"));
  });
}

TEST(FirewallPermission, AHeldLockIsWaitedForAndThenNamed) {
  IN_NETWORK_NAMESPACE([] {
    Descriptor const lock(::open("/run/xtables.lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
    auto const applied = apply_firewall(spec_for(FirewallBackend::legacy));
    ASSERT_FALSE(applied);
    EXPECT_THAT(applied.error().detail, HasSubstr("another program held the xtables lock for 5 seconds"));
    ASSERT_EQ(::flock(lock.get(), LOCK_UN), 0);
    auto const again = apply_firewall(spec_for(FirewallBackend::legacy));
    EXPECT_TRUE(again) << again.error().detail;
  });
}

}  // namespace
}  // namespace imdsgate
