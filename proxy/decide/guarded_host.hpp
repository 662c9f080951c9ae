// Whom a request names as its host: in the Host header, or in a target that some parsers would take for a
// network-path reference (RFC 3986 §4.2): `//169.254.169.254/latest`.
#pragma once

#include <string_view>

#include "decide/policy.hpp"

namespace imdsgate {

// The target starts with two or more slashes (or what is read as slashes) and then a guarded address, in any
// notation inet_aton(3) or inet_pton(3) takes, or a name the metadata service goes by.
bool names_guarded_host(Policy const &policy, std::string_view target);

// The value of a Host header is an address of this service, or one of its names, with its port or none. A
// page that makes its own name resolve to a guarded address (DNS rebinding) cannot make the browser say so.
bool known_host(Policy const &policy, Service const &service, std::string_view host);

}  // namespace imdsgate
