#include "gateway/host_rules.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>

#include "gateway/guest_proxy.hpp"
#include "gateway/root_dialler.hpp"

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

// WireServer is dialled by uid 0, in the gateway's group.
SocketOwner who_dials(Endpoint const &endpoint, SocketOwner const &gateway) {
  return is_wireserver(endpoint) ? SocketOwner{0, gateway.gids} : gateway;
}

bool refuses_gateway(std::vector<OwnerDenial> const &denials, ForeignRule const &rule, SocketOwner const &gateway) {
  return std::ranges::any_of(denials, [&](OwnerDenial const &denial) {
    return std::ranges::any_of(denial.endpoints, [&](Endpoint const &endpoint) {
      return concerns(rule, endpoint) && denial.refuses(who_dials(endpoint, gateway));
    });
  });
}

// What the guest agent's own rules come to is part of guarding WireServer, whatever `existing` says of other rules: the
// gateway has a connection of uid 0 to lend.
bool only_about_wireserver(ForeignRule const &rule) {
  return !rule.endpoints.empty() && std::ranges::all_of(rule.endpoints, is_wireserver);
}

std::vector<OwnerDenial> about_wireserver(std::vector<OwnerDenial> denials) {
  for (auto &denial : denials) std::erase_if(denial.endpoints, std::not_fn(is_wireserver));
  std::erase_if(denials, [](OwnerDenial const &denial) { return denial.endpoints.empty(); });
  return denials;
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
  std::ranges::copy_if(spec.endpoints, std::back_inserter(spec.dialled_as_root), is_wireserver);
  spec.listen_port = settings.listen_port;
  spec.bridges = settings.bridges;
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
  if (settings.existing == Existing::ignore) {
    result.denials = about_wireserver(found.denials);
    return result;
  }
  result.left_out = endpoints_of_ecs_agent(settings, found.rules);
  bool const translates = settings.existing == Existing::translate;
  std::string in_the_way;
  for (auto const &rule : found.rules) {
    bool const left_out = rule.kind == Kind::ecs_agent && std::ranges::all_of(rule.endpoints, [&](auto const &each) {
                            return std::ranges::find(result.left_out, each) != result.left_out.end();
                          });
    bool const taken = (translates || only_about_wireserver(rule)) && rule.kind == Kind::owners &&
                       !refuses_gateway(found.denials, rule, gateway);
    if (!left_out && !taken) in_the_way += "\n  " + rule.where + ": " + rule.rule;
  }
  result.denials = translates ? found.denials : about_wireserver(found.denials);
  if (in_the_way.empty()) return result;
  return Error{Errc::refused, (translates ? "other rules speak of guarded addresses and do more than keep users away, or "
                                            "would keep the gateway itself away:"
                                          : "other rules speak of guarded addresses (`existing: translate` takes over those "
                                            "that keep users away, `existing: ignore` arms beside them):") +
                                  in_the_way};
}

Result<HostRules> look_at_host_rules(Settings const &settings, SocketOwner const &gateway) {
  bool const azure = (settings.provider_known && settings.provider == Provider::azure) || guards_wireserver(settings.endpoints);
  if (azure) {
    auto const proxy = find_guest_proxy();
    if (!proxy) return Error{proxy.error().code, "whether Azure's guest proxy runs is not known: " + proxy.error().detail};
    if (*proxy) {
      return Error{Errc::refused, "azure_guest_proxy: Azure's guest proxy runs (" + **proxy +
                                      ") and takes this traffic before the gateway can see it; one of the two has to go"};
    }
  }
  if (settings.existing == Existing::ignore && !guards_wireserver(settings.endpoints)) return HostRules{};
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
