// Whom a process shares its tokens with when nobody says otherwise: what its control group belongs to. Pure.
#pragma once

#include <string>

#include "model/process.hpp"

namespace imdsgate {

// The cgroup path down to its innermost unit (a service, a login session's or another scope) or container;
// the whole path when it names neither. A path and not a name, because anyone may name a cgroup of his own.
// In the root cgroup, the user; where the cgroup is not known, the process alone: a uid proves no kinship.
std::string unit_scope(Process const &process);

// The same down to the outermost one: a login session, a system service, a container, or all that a user's
// own service manager runs.
std::string session_scope(Process const &process);

}  // namespace imdsgate
