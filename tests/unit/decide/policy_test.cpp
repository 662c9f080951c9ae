#include "decide/policy.hpp"

#include <gtest/gtest.h>

#include "decide/path_classes.hpp"

namespace imdsgate {
namespace {

constexpr PathClass kAll[] = {PathClass::general,  PathClass::trust,    PathClass::writable,
                              PathClass::userdata, PathClass::identity, PathClass::credentials};

TEST(Policy, ResolvesAutoOnceForEachMode) {
  auto const [audit, enforce] = build_policies({});
  for (auto const each : kAll) {
    bool const secret = each == PathClass::credentials || each == PathClass::identity;
    EXPECT_EQ(audit->classes[index(each)], Verdict::allow) << to_string(each);
    EXPECT_EQ(enforce->classes[index(each)], secret ? Verdict::block : Verdict::allow) << to_string(each);
    EXPECT_EQ(audit->imdsv1[index(each)], Verdict::allow) << to_string(each);
    EXPECT_EQ(enforce->imdsv1[index(each)], each == PathClass::credentials ? Verdict::block : Verdict::alert);
  }
  EXPECT_EQ(audit->unattributed, Verdict::alert);
  EXPECT_EQ(enforce->unattributed, Verdict::block);
}

TEST(Policy, TakesAnExplicitValueForBothModes) {
  PolicyChoices choices;
  choices.unattributed = Verdict::allow;
  choices.imdsv1 = Verdict::block;
  choices.classes[index(PathClass::credentials)] = Verdict::alert;
  for (auto const mode : {Mode::audit, Mode::enforce}) {
    auto const policy = build_policies(choices).of(mode);
    EXPECT_EQ(policy->unattributed, Verdict::allow);
    EXPECT_EQ(policy->classes[index(PathClass::credentials)], Verdict::alert);
    for (auto const each : kAll) EXPECT_EQ(policy->imdsv1[index(each)], Verdict::block);
  }
}

}  // namespace
}  // namespace imdsgate
