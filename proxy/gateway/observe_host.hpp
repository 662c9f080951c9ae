// Looks at everything that diagnose() judges but the unknown paths. It changes nothing: what has to be tried is tried in
// a namespace of its own, and BPF programs are loaded for the moment where no daemon has them loaded. Blocking; the
// caller has one thread, and is in the network namespace that is guarded.
#pragma once

#include "gateway/diagnosis.hpp"
#include "gateway/host_situation.hpp"

namespace imdsgate {

HostObservations observe_host(HostSituation const &situation);

}  // namespace imdsgate
