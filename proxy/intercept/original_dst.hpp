// Where a redirected connection was going: what conntrack remembers from before the NAT
// (SO_ORIGINAL_DST in linux/netfilter_ipv4.h, IP6T_SO_ORIGINAL_DST in linux/netfilter_ipv6/ip6_tables.h).
#pragma once

#include "model/address.hpp"

namespace imdsgate {

// Of an accepted TCP socket. A connection that was not redirected has its own local address here, or none
// (not_found).
Result<Endpoint> original_destination(int fd);

}  // namespace imdsgate
