// What the host's own firewall rules mean for the gateway: what it takes over of them, what it leaves alone, and whether
// it may arm beside them at all.
#pragma once

#include <string>
#include <vector>

#include "gateway/settings.hpp"
#include "intercept/firewall.hpp"
#include "model/owner_denial.hpp"

namespace imdsgate {

FirewallSpec firewall_spec(Settings const &settings);  // without interfaces and exemption

struct HostRules {
  std::vector<OwnerDenial> denials;  // `existing: translate`, and always about WireServer: they hold in both modes
  std::vector<Endpoint> left_out;    // chosen by default, and the ECS agent's here: not guarded
  std::vector<std::string> notes() const;  // a line each, for people
};

// Pure. `gateway`: whose connections go upstream. An error names each rule that is in the way.
Result<HostRules> judge_host_rules(Settings const &settings, ForeignRules const &found, SocketOwner const &gateway);

// Refused (azure_guest_proxy) beside Azure's own. With `existing: ignore` only what concerns WireServer is looked at. Blocking. At start before the capabilities are dropped: the legacy
// tables' list is readable with them only.
Result<HostRules> look_at_host_rules(Settings const &settings, SocketOwner const &gateway);
Result<HostRules> look_at_host_rules(Settings const &settings);  // with the caller as the gateway

void leave_out(std::vector<Endpoint> const &left_out, std::vector<Endpoint> &endpoints);

}  // namespace imdsgate
