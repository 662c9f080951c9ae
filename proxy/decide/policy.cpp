#include "decide/policy.hpp"

#include "decide/path_classes.hpp"

namespace imdsgate {
namespace {

constexpr PathClass kClasses[] = {PathClass::general,  PathClass::trust,    PathClass::writable,
                                  PathClass::userdata, PathClass::identity, PathClass::credentials};

// A renamed curl matches no rule, so in enforce what logs in elsewhere needs a grant (design §6).
Verdict class_default(PathClass path_class, Mode mode) {
  if (mode == Mode::audit) return Verdict::allow;
  return path_class >= PathClass::identity ? Verdict::block : Verdict::allow;
}

Verdict unattributed_default(Mode mode) {
  return mode == Mode::audit ? Verdict::alert : Verdict::block;
}

Verdict imdsv1_default(PathClass path_class, Mode mode) {
  if (mode == Mode::audit) return Verdict::allow;  // its finding is how it is counted
  return path_class == PathClass::credentials ? Verdict::block : Verdict::alert;
}

std::shared_ptr<Policy const> build(PolicyChoices const &choices, Mode mode,
                                    std::shared_ptr<PathCatalogue const> const &catalogue) {
  auto policy = std::make_shared<Policy>();
  policy->provider = choices.provider;
  policy->endpoints = choices.endpoints;
  policy->rules = choices.rules;
  policy->allow = choices.allow;
  policy->deny = choices.deny;
  policy->unattributed = choices.unattributed.value_or(unattributed_default(mode));
  for (auto const each : kClasses) {
    policy->classes[index(each)] = choices.classes[index(each)].value_or(class_default(each, mode));
    policy->imdsv1[index(each)] = choices.imdsv1.value_or(imdsv1_default(each, mode));
  }
  policy->imdsv1_exceptions = choices.imdsv1_exceptions;
  policy->token_binding = choices.token_binding;
  policy->catalogue = catalogue;
  return policy;
}
}  // namespace

PolicySet build_policies(PolicyChoices const &choices) {
  auto const catalogue =
      choices.provider_known ? PathCatalogue::shipped(choices.provider) : PathCatalogue::every_cloud();
  return {build(choices, Mode::audit, catalogue), build(choices, Mode::enforce, catalogue)};
}

}  // namespace imdsgate
