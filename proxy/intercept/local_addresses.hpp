// The host's own interfaces and addresses, kept current by rtnetlink (RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
// RTNLGRP_IPV6_IFADDR).
#pragma once

#include <vector>

#include "intercept/firewall.hpp"

namespace imdsgate {

struct LocalAddresses {
  std::vector<InterfaceAddress> all;  // every address of every interface, loopback too
  // At most one a family for each interface that is up and not a loopback: global scope, not tentative nor
  // deprecated. An interface whose name iptables cannot write is not among them.
  std::vector<InterfaceAddress> listenable;
  bool ipv6 = false;  // ::1 is there
  bool contains(Address const &address) const;
};

Result<LocalAddresses>
read_local_addresses();  // one netlink dump each; does not block on anything but the kernel

}  // namespace imdsgate
