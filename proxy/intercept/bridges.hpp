// The host's bridges that `containers` names, and whether they are what they should be: only this host's own
// namespaces behind them. Blocks on the kernel alone.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/result.hpp"

namespace imdsgate {

struct NamedInterface {
  std::string name;
  bool there = false;
  bool bridge = false;
  bool default_route = false;  // some table's, of either family: others' hosts are behind it
};

Result<std::vector<NamedInterface>> look_at_interfaces(std::span<std::string const> names);

// Why it may not be guarded, for people; nullopt: it may, and one that is not there yet may, too.
std::optional<std::string> why_not_bridge(NamedInterface const &interface);
std::vector<std::string> why_not_bridges(std::span<NamedInterface const> interfaces);

}  // namespace imdsgate
