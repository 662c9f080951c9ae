// How long an answer may take to begin. Most come in milliseconds; some are held on purpose (facts §5).
#pragma once

#include <chrono>

#include "model/request.hpp"

namespace imdsgate {

// At least `ordinary`. GCE's wait_for_change: its timeout_sec and a margin, or without one a day, because the service
// holds it for ever and the client decides. Azure's first scheduledevents: five minutes.
std::chrono::milliseconds response_timeout(MetadataRequest const &request, std::chrono::milliseconds ordinary);

}  // namespace imdsgate
