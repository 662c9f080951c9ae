// What every event says of the host it comes from. Reads files: start-up only.
#pragma once

#include <filesystem>

#include "model/event.hpp"
#include "model/result.hpp"

namespace imdsgate {

// host.id is the first of /etc/machine-id, the DMI product UUID and the kernel's boot id that holds one;
// host.name is gethostname(2). `root` is "/" but in tests. An error when none of the three is there: without
// a host.id no sequence would join (design §5).
Result<HostInfo> read_host_info(Provider provider, std::filesystem::path const &root = "/");

// A random UUID (version 4) for event.id, from getrandom(2): a few hundred nanoseconds, does not block after
// boot.
std::string new_event_id();

}  // namespace imdsgate
