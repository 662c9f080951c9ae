// What the kernel lets this process do, and what it needs that for (capabilities(7)).
#pragma once

#include <string>
#include <vector>

#include "model/result.hpp"

namespace imdsgate {

struct NeededCapability {
  int capability;    // CAP_*
  std::string what;  // "redirecting and marking traffic"
};

// One sentence for each that is missing from the effective set: "CAP_NET_ADMIN is missing: …".
std::vector<std::string> missing_capabilities(std::vector<NeededCapability> const &needed);

// What the prober needs, or only the start did (entering a network namespace, loading the BPF programs), and the gateway,
// which parses the network's bytes, must not hold: SYS_PTRACE, DAC_READ_SEARCH, SETUID, SYS_ADMIN, BPF and PERFMON leave the effective, permitted, inheritable and ambient sets.
// Everything else stays: iptables is run with what is left.
Result<void> drop_start_up_capabilities();

}  // namespace imdsgate
