// Targets that some parsers would take for a network-path reference (RFC 3986 §4.2):
// `//169.254.169.254/latest`.
#pragma once

#include <string_view>

#include "decide/policy.hpp"

namespace imdsgate {

// The target starts with two or more slashes (or what is read as slashes) and then a guarded address, in any
// notation inet_aton(3) or inet_pton(3) takes, or a name the metadata service goes by.
bool names_guarded_host(Policy const &policy, std::string_view target);

}  // namespace imdsgate
