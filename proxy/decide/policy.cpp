#include "decide/policy.hpp"

#include <algorithm>

#include "decide/grant_scope.hpp"
#include "decide/path_classes.hpp"

namespace imdsgate {
namespace {

constexpr PathClass kClasses[] = {PathClass::general,  PathClass::trust,    PathClass::writable,
                                  PathClass::userdata, PathClass::identity, PathClass::credentials};

// The host itself is one hop away from the service.
constexpr unsigned kHopsOfContainer = 2;

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

// Whose service: as the operator says, else by its address, else the host's.
Service service_for(PolicyChoices const &choices, Policy const &policy, Endpoint const &endpoint) {
  auto const found = choices.particular.find(endpoint);
  auto const own = found == choices.particular.end() ? EndpointChoices{} : found->second;
  auto const provider = own.provider ? own.provider : provider_at(endpoint.address);
  Service service{endpoint, provider.value_or(choices.provider), nullptr, own.hosts, policy.classes, {}};
  bool const known = provider || choices.provider_known;
  service.catalogue = known ? PathCatalogue::shipped(service.provider) : PathCatalogue::of_every_service();
  for (auto const each : kClasses) {
    if (auto const verdict = own.classes[index(each)]) service.classes[index(each)] = *verdict;
  }
  auto const general = service.classes[index(PathClass::general)];
  service.unknown = own.unknown.value_or(choices.unknown.value_or(general));
  return service;
}

std::shared_ptr<Policy const> build(PolicyChoices const &choices, Mode mode) {
  auto policy = std::make_shared<Policy>();
  policy->provider = choices.provider;
  policy->endpoints = choices.endpoints;
  policy->rules = choices.rules;
  policy->allow = choices.allow;
  for (auto &entry : policy->allow) entry.names_container = entry.when && names_container(*entry.when);
  policy->deny = choices.deny;
  policy->allow_index = EntryIndex(policy->allow);
  policy->deny_index = EntryIndex(policy->deny);
  policy->unattributed = choices.unattributed.value_or(unattributed_default(mode));
  for (auto const each : kClasses) {
    policy->classes[index(each)] = choices.classes[index(each)].value_or(class_default(each, mode));
    policy->imdsv1[index(each)] = choices.imdsv1.value_or(imdsv1_default(each, mode));
  }
  policy->imdsv1_exceptions = choices.imdsv1_exceptions;
  policy->token_binding = choices.token_binding;
  policy->token_crosses = choices.hop_limit.value_or(kHopsOfContainer) >= kHopsOfContainer;
  auto const &shipped = PathCatalogue::shipped(choices.provider)->endpoints();
  for (auto const &endpoint : choices.endpoints.empty() ? shipped : choices.endpoints) {
    policy->services.push_back(service_for(choices, *policy, endpoint));
  }
  return policy;
}
}  // namespace

Service const *service_at(Policy const &policy, Endpoint const &endpoint) {
  auto const found = std::ranges::find(policy.services, endpoint, &Service::endpoint);
  return found == policy.services.end() ? nullptr : &*found;
}

PolicySet beside_host_rules(PolicySet const &policies, std::vector<OwnerDenial> const &denials,
                            std::vector<Endpoint> const &left_out) {
  auto const is_left_out = [&](Endpoint const &each) {
    return std::ranges::find(left_out, each) != left_out.end();
  };
  auto const beside = [&](Policy const &policy) {
    auto copy = std::make_shared<Policy>(policy);
    copy->owner_denials = denials;
    std::erase_if(copy->endpoints, is_left_out);
    std::erase_if(copy->services, [&](Service const &each) { return is_left_out(each.endpoint); });
    return copy;
  };
  return {beside(*policies.audit), beside(*policies.enforce)};
}

PolicySet build_policies(PolicyChoices const &choices) {
  return {build(choices, Mode::audit), build(choices, Mode::enforce)};
}

}  // namespace imdsgate
