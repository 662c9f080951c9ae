// How the host stands to a configuration, seen from beside the daemon: for the command line. Blocking.
#pragma once

#include <boost/json/object.hpp>
#include <optional>

#include "gateway/host_rules.hpp"
#include "gateway/settings.hpp"

namespace imdsgate {

struct HostSituation {
  Settings settings;
  FirewallSpec spec;  // as it should be
  Result<HostRules> host_rules;  // what of the host's own rules is left out of the spec, or why nothing may go in
  Result<boost::json::object> daemon;  // its status, or why it does not tell
};

// `backend`: which iptables; nullopt: what `iptables` runs.
Result<HostSituation> situation_of(Settings const &settings, std::optional<FirewallBackend> backend);

}  // namespace imdsgate
