// Which processes can be seen: those of the own pid namespace, if /proc is of that one at all.
#pragma once

#include <string>

#include "model/result.hpp"

namespace imdsgate {

bool in_initial_pid_namespace();

// Empty in the initial pid namespace, which has every process; else what that means for who asks.
std::string what_is_not_seen();

// /proc has the numbers that processes go by here. With that of another pid namespace a number in a cgroup
// would be one process and the same in /proc another.
Result<void> proc_is_of_this_pid_namespace();

}  // namespace imdsgate
