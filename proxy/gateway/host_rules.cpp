#include "gateway/host_rules.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace imdsgate {
namespace {

using Kind = ForeignRule::Kind;

bool concerns(ForeignRule const &rule, Endpoint const &endpoint) {
  return std::ranges::find(rule.endpoints, endpoint) != rule.endpoints.end();
}

// The agent's redirect makes the gateway no gate: whoever dials 127.0.0.1:51679 is past it, and so is everybody while
// it is stopped, since the fence comes after the agent's translation.
std::vector<Endpoint> endpoints_of_ecs_agent(Settings const &settings, std::vector<ForeignRule> const &rules) {
  std::vector<Endpoint> its;
  for (auto const &endpoint : settings.endpoints) {
    bool any = false, only = true;
    for (auto const &rule : rules) {
      if (!concerns(rule, endpoint)) continue;
      any = any || rule.kind == Kind::ecs_agent;
      only = only && rule.kind == Kind::ecs_agent;
    }
    if (any && only && settings.endpoints_by_default) its.push_back(endpoint);
  }
  return its;
}

bool refuses_gateway(std::vector<OwnerDenial> const &denials, ForeignRule const &rule, SocketOwner const &gateway) {
  return std::ranges::any_of(denials, [&](OwnerDenial const &denial) {
    return denial.refuses(gateway) &&
           std::ranges::any_of(denial.endpoints, [&](Endpoint const &endpoint) { return concerns(rule, endpoint); });
  });
}

}  // namespace

std::vector<std::string> HostRules::notes() const {
  std::vector<std::string> lines;
  for (auto const &denial : denials) lines.push_back(denial.to_string());
  for (auto const &endpoint : left_out) {
    lines.push_back(endpoint.to_string() + " is not guarded: the ECS agent's own redirect is there");
  }
  return lines;
}

FirewallSpec firewall_spec(Settings const &settings) {
  FirewallSpec spec;
  spec.endpoints = settings.endpoints;
  spec.listen_port = settings.listen_port;
  spec.exemption.mark = settings.mark;
  spec.exemption.mask = settings.mark_mask;
  switch (settings.backend) {
    case Backend::automatic: break;
    case Backend::nft: spec.backend = FirewallBackend::nft; break;
    case Backend::legacy: spec.backend = FirewallBackend::legacy; break;
  }
  return spec;
}

Result<HostRules> judge_host_rules(Settings const &settings, ForeignRules const &found, SocketOwner const &gateway) {
  HostRules result;
  result.left_out = endpoints_of_ecs_agent(settings, found.rules);
  bool const translates = settings.existing == Existing::translate;
  std::string in_the_way;
  for (auto const &rule : found.rules) {
    bool const left_out = rule.kind == Kind::ecs_agent && std::ranges::all_of(rule.endpoints, [&](auto const &each) {
                            return std::ranges::find(result.left_out, each) != result.left_out.end();
                          });
    bool const taken = translates && rule.kind == Kind::owners && !refuses_gateway(found.denials, rule, gateway);
    if (!left_out && !taken) in_the_way += "\n  " + rule.where + ": " + rule.rule;
  }
  if (translates) result.denials = found.denials;
  if (in_the_way.empty()) return result;
  return Error{Errc::refused, (translates ? "other rules speak of guarded addresses and do more than keep users away, or "
                                            "would keep the gateway itself away:"
                                          : "other rules speak of guarded addresses (`existing: translate` takes over those "
                                            "that keep users away, `existing: ignore` arms beside them):") +
                                  in_the_way};
}

Result<HostRules> look_at_host_rules(Settings const &settings, SocketOwner const &gateway) {
  if (settings.existing == Existing::ignore) return HostRules{};
  auto const found = scan_foreign_rules(firewall_spec(settings));
  if (!found) return found.error();
  return judge_host_rules(settings, *found, gateway);
}

Result<HostRules> look_at_host_rules(Settings const &settings) {
  std::array<std::uint32_t, 1> const group{::getegid()};
  return look_at_host_rules(settings, {::geteuid(), group});
}

void leave_out(std::vector<Endpoint> const &left_out, std::vector<Endpoint> &endpoints) {
  std::erase_if(endpoints, [&](Endpoint const &each) { return std::ranges::find(left_out, each) != left_out.end(); });
}

}  // namespace imdsgate
