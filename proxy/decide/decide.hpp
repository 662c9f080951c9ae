// The lines that are the product (design §3): pure, no clock, no I/O.
#pragma once

#include <optional>

#include "decide/policy.hpp"
#include "model/decision.hpp"
#include "model/request.hpp"

namespace imdsgate {

// Why a message is refused in both modes.
struct Meaningless {
  Reason reason;
  std::string detail;
};
[[noreturn]] inline void throw_exception_from_error(Meaningless const &why, boost::source_location const &) {
  throw std::runtime_error(why.detail);
}

// The one meaning of a parsed request, or the trap it fell into (facts §7). An ambiguous target is a meaning
// with `ambiguous` set: decide() makes it a block with status 400, and audit forwards it all the same.
// `dialled` is the endpoint the client dialled; nullopt on the UNIX listener, where the first endpoint
// answers and a Host may be anything: no name leads there.
boost::system::result<MetadataRequest, Meaningless> canonicalize(
    Policy const &policy, RawRequest const &raw, std::optional<Endpoint> const &dialled = std::nullopt);

// The values of every session token's field, EC2's; none is most often.
std::vector<std::string_view> session_tokens(RawRequest const &raw);

// Every reason that applies, strictest first (design §6).
Decision decide(Policy const &policy, AccessRequest const &access);

// The only place that knows what a mode is.
Action enforce(Decision const &decision, Mode mode);

}  // namespace imdsgate
