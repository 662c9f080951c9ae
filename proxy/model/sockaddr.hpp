// Endpoints and the kernel's socket addresses (RFC 3493), for the code that makes system calls.
#pragma once

#include <sys/socket.h>

#include "model/address.hpp"

namespace imdsgate {

// An IPv4 endpoint becomes a sockaddr_in, any other a sockaddr_in6 without scope.
socklen_t to_sockaddr(Endpoint const &endpoint, sockaddr_storage &storage);

// AF_INET and AF_INET6; a v4-mapped address equals its IPv4 form. Any other family: an unset endpoint.
Endpoint from_sockaddr(sockaddr_storage const &storage);

}  // namespace imdsgate
