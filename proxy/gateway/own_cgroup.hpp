// The daemon's own place in the cgroup2 tree.
#pragma once

#include <optional>
#include <string>

namespace imdsgate {

// As xt_cgroup's --path takes it: without the leading slash. nullopt: no cgroup2, or the root, which everybody is in.
std::optional<std::string> own_cgroup();

}  // namespace imdsgate
