// Whose traffic the firewall does not redirect, found out from outside the daemon: for the CLI.
#pragma once

#include <cstdint>

#include "intercept/firewall.hpp"

namespace imdsgate {

// uid: that of the running daemon (who listens on the port, believed only where no unprivileged user could),
// else the user imdsgate of /etc/passwd, else the caller's. cgroup: that of the service, where it exists now.
Exemption find_exemption(std::uint32_t mark, std::uint32_t mask, std::uint16_t listen_port);

}  // namespace imdsgate
