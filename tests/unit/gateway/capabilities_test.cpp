#include "gateway/capabilities.hpp"

#include <gmock/gmock.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "unit/gateway/temporary_directory.hpp"

namespace imdsgate {
namespace {

using namespace test;

bool has(int capability, cap_flag_t set) {
  cap_t const caps = ::cap_get_proc();
  cap_flag_value_t value = CAP_CLEAR;
  ::cap_get_flag(caps, capability, set, &value);
  ::cap_free(caps);
  return value == CAP_SET;
}

void raise_inheritable_and_ambient(int capability) {
  cap_t const caps = ::cap_get_proc();
  cap_value_t const one[] = {capability};
  ::cap_set_flag(caps, CAP_INHERITABLE, 1, one, CAP_SET);
  ::cap_set_proc(caps);
  ::cap_free(caps);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, static_cast<unsigned long>(capability), 0UL, 0UL);
}

TEST(Capabilities, TheHelpersAndThoseOfBpfLeaveEverySetAndTheRestStays) {
  if (!has(CAP_SYS_PTRACE, CAP_PERMITTED) || !has(CAP_DAC_READ_SEARCH, CAP_PERMITTED))
    GTEST_SKIP() << "nothing to drop";
  auto const body = [] {
    bool const admin = has(CAP_NET_ADMIN, CAP_EFFECTIVE);
    auto const dropped = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SETUID, CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON};
    for (int const one : dropped) raise_inheritable_and_ambient(one);
    if (!drop_start_up_capabilities()) return 1;
    for (int const one : dropped) {
      for (auto const set : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE}) {
        if (has(one, set)) return 2;
      }
      if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, static_cast<unsigned long>(one), 0UL, 0UL) != 0)
        return 3;
    }
    if (has(CAP_NET_ADMIN, CAP_EFFECTIVE) != admin || !has(CAP_CHOWN, CAP_EFFECTIVE)) return 4;
    return missing_capabilities({{CAP_SYS_PTRACE, "x"}}).size() == 1 ? 0 : 5;
  };
  EXPECT_EQ(in_a_child(body), 0);
}

TEST(Capabilities, EachMissingOneHasASentence) {
  auto const body = [] {
    cap_t const none = ::cap_init();
    ::cap_set_proc(none);
    ::cap_free(none);
    auto const missing = missing_capabilities({{CAP_NET_ADMIN, "the rules"}, {CAP_SYS_PTRACE, "names"}});
    std::vector<std::string> const expected = {"CAP_NET_ADMIN is missing: needed for the rules",
                                               "CAP_SYS_PTRACE is missing: needed for names"};
    return missing == expected ? 0 : 1;
  };
  EXPECT_EQ(in_a_child(body), 0);
  EXPECT_THAT(missing_capabilities({{CAP_SETUID, "this test runs as root"}}), testing::IsEmpty());
}

}  // namespace
}  // namespace imdsgate
