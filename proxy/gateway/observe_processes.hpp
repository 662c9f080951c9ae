// Who on this host could get past the gateway by being what he is. Reads /proc; blocking.
#pragma once

#include <set>

#include "gateway/diagnosis.hpp"

namespace imdsgate {

// Network namespaces with processes in them, other than the caller's, those with most processes first. By root: those of
// others' processes cannot be read otherwise, and without any that can this is an error.
Result<std::vector<NamespaceSeen>> other_network_namespaces();

// Processes that are not root's, in the caller's user namespace and network namespace, with NET_ADMIN or NET_RAW in
// effect. `own`: left out.
Result<std::vector<PowerfulSeen>> capable_processes(std::set<pid_t> const &own);

// `pid` and its descendants.
std::set<pid_t> process_tree(pid_t pid);

}  // namespace imdsgate
