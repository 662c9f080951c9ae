// What `imdsgate status` shows (interfaces §1).
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <string>

#include "gateway/attribution_tier.hpp"
#include "gateway/exec_context.hpp"
#include "gateway/gateway.hpp"
#include "gateway/host_rules.hpp"
#include "gateway/interception.hpp"
#include "gateway/settings.hpp"
#include "report/sinks.hpp"

namespace imdsgate {

// Borrowed for the call.
struct StatusSources {
  Gateway const &gateway;
  Interception const &interception;
  AttributionTier const &tier;
  Reporter const &reporter;
  Settings const &settings;
  HostRules const &host_rules;
  std::string const &exec_events;  // where they come from, or why there are none
  ExecContext const &execs;
  std::chrono::system_clock::time_point started;
};

boost::json::object status_of(StatusSources const &sources);

// What was asked for that the catalogue does not know: {"paths":[{"provider","method","path","count","last","last_by"}, …],
// "forgotten":N}.
boost::json::object unknown_paths_of(Reporter const &reporter);

}  // namespace imdsgate
