// What the operator wants, with every `auto` resolved for one mode. Immutable once built; a reload builds
// another.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "decide/entry_index.hpp"
#include "decide/policy_entry.hpp"
#include "decide/token_binding.hpp"
#include "model/address.hpp"
#include "model/decision.hpp"
#include "model/owner_denial.hpp"
#include "model/request.hpp"
#include "rules/rule.hpp"

namespace imdsgate {

class PathCatalogue;  // decide/path_classes.hpp

// Where `ec2.imdsv1` is not one verdict for everybody and for ever.
struct Imdsv1Exceptions {
  std::optional<std::chrono::system_clock::time_point> block_from;  // from then on it blocks
  std::vector<std::string> except;  // executables it does not concern, when that is proven
};

// One guarded endpoint: whose service answers there, and what its paths get without a grant.
struct Service {
  Endpoint endpoint;
  Provider provider = Provider::ec2;
  std::shared_ptr<PathCatalogue const> catalogue;
  std::vector<std::string> hosts;    // names of its own beside the catalogue's; lower case, no dot at the end
  std::array<Verdict, 6> classes{};  // indexed by PathClass
  Verdict unknown = Verdict::allow;  // what the catalogue does not know
};

struct Policy {
  Provider provider = Provider::ec2;
  std::vector<Endpoint> endpoints;
  std::vector<std::shared_ptr<Rule const>> rules;
  std::vector<PolicyEntry> allow;
  std::vector<PolicyEntry> deny;
  EntryIndex allow_index, deny_index;  // of these
  std::array<Verdict, 6> classes{};    // indexed by PathClass: of an endpoint that says nothing else
  Verdict unattributed = Verdict::alert;
  // IMDSv1 by path class: what a request without a session token gets on EC2.
  std::array<Verdict, 6> imdsv1{};
  Imdsv1Exceptions imdsv1_exceptions;
  TokenBinding token_binding;
  bool token_crosses = true;  // EC2's session tokens are given to another network namespace, too, where granted
  std::vector<OwnerDenial> owner_denials;  // of the host's own firewall; they hold in audit, too
  std::vector<Service> services;  // never empty: the endpoints in their order, or what the provider has
};

// The service of a guarded endpoint; nullptr for any other, such as one that a reload took out.
Service const *service_at(Policy const &policy, Endpoint const &endpoint);

constexpr std::size_t index(PathClass path_class) {
  return static_cast<std::size_t>(path_class);
}

// What an operator said of one endpoint alone.
struct EndpointChoices {
  std::vector<std::string> hosts;  // lower case, no dot at the end
  std::optional<Provider> provider;
  std::array<std::optional<Verdict>, 6> classes{};  // indexed by PathClass; nullopt: as everywhere
  std::optional<Verdict> unknown;
};

// What an operator chose, before any `auto` is resolved: nullopt is auto.
struct PolicyChoices {
  Provider provider = Provider::ec2;
  bool provider_known = true;  // false: paths are classified by every catalogue there is
  std::vector<Endpoint> endpoints;
  std::map<Endpoint, EndpointChoices> particular;  // of some of `endpoints`
  std::vector<std::shared_ptr<Rule const>> rules;
  std::vector<PolicyEntry> allow;
  std::vector<PolicyEntry> deny;
  std::array<std::optional<Verdict>, 6> classes{};  // indexed by PathClass
  std::optional<Verdict> unknown;                   // auto: as `general`
  std::optional<Verdict> unattributed;
  std::optional<Verdict> imdsv1;  // for every class
  Imdsv1Exceptions imdsv1_exceptions;
  TokenBinding token_binding;
  std::optional<unsigned> hop_limit;  // `containers.hop_limit`; a request that crossed a namespace takes two
};

// One policy for each mode, built from the same settings, so that switching the mode is a pointer swap.
struct PolicySet {
  std::shared_ptr<Policy const> audit;
  std::shared_ptr<Policy const> enforce;
  std::shared_ptr<Policy const> const &of(Mode mode) const { return mode == Mode::audit ? audit : enforce; }
};

// The same with what was found on the host: denials of its own firewall, and endpoints that are not guarded
// after all.
PolicySet beside_host_rules(PolicySet const &policies, std::vector<OwnerDenial> const &denials,
                            std::vector<Endpoint> const &left_out);

// What `auto` means in each mode is here and nowhere else. Throws std::runtime_error when the provider's path
// catalogue is broken, a fault of the build.
PolicySet build_policies(PolicyChoices const &choices);

}  // namespace imdsgate
