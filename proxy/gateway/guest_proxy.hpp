// Azure's own guest proxy (github.com/Azure/GuestProxyAgent). With BPF programs at the root of the cgroups it sends
// connections to the metadata service and to WireServer to itself in connect(2), before any firewall rule sees them, and
// its own on with a key that the host wants: beside it the gateway guards nothing, or stands in its way.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "model/result.hpp"

namespace imdsgate {

// "process 812 (azure-proxy-agent)": one of uid 0 with the proxy's name or in its unit, which nobody else can make.
// An error: whether there is one is not known. Blocking: start-up and the worker thread only.
Result<std::optional<std::string>> find_guest_proxy(std::filesystem::path const &proc = "/proc");

}  // namespace imdsgate
