// The framing traps of facts §7 that show in a parsed header: each is a message that another parser could
// read otherwise, and each has a reason of its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/decide.hpp"

namespace imdsgate {

// The raw header block: NUL, bare CR or LF, obsolete folding.
std::optional<Meaningless> header_block_trap(std::string_view bytes);

// Names and values, Host, Content-Length and Transfer-Encoding.
std::optional<Meaningless> field_trap(RawRequest const &raw);

// Method and form of the target. `hosts` are names the service goes by; with the addresses of `policy` they
// are what a target starting with two slashes must not name.
std::optional<Meaningless> target_trap(Policy const &policy, RawRequest const &raw);

// RFC 9110 §5.6.2: what a method or a field name is made of.
bool is_token(std::string_view text);

}  // namespace imdsgate
