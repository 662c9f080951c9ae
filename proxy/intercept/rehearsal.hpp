// Whether this kernel and these tools can do what the gateway asks of the firewall, without touching the host's.
#pragma once

#include <string>
#include <vector>

#include "intercept/firewall.hpp"

namespace imdsgate {

// The spec, with redirect and fence, for both families, is applied in a network namespace that is made for it and gone
// afterwards, by a child process: the caller must have one thread. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN. `notes`: why a
// family is left out.
Result<void> rehearse_firewall(FirewallSpec spec, std::vector<std::string> &notes);

}  // namespace imdsgate
