// Takes secrets out of what an event is about to carry. Pure.
//
// The rule is by type first: of a request's header only User-Agent ever reaches an event, bodies never do,
// and every value of a query key that names a secret is replaced. What remains is text that others wrote
// (arguments, user agents), where a secret is known by what stands before it (a key, a flag, `Bearer`) or by
// its own issuer's prefix. A secret that has neither, such as a bare password as a positional argument,
// cannot be told from a word: docs say so. In doubt more is replaced, never less.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imdsgate {

inline constexpr std::string_view kRedacted = "REDACTED";

// True for the names of query keys, flags, headers and variables whose value is a secret: compared without
// case, `-`,
// `_` and `.`, percent-decoded.
bool names_a_secret(std::string_view key);

// A request target or its parts, in the spelling they came in.
std::string redact_target(std::string_view target);
std::string redact_path(
    std::string_view path);  // the id in a container's credential path is the credential's key
std::string redact_query(std::string_view query);  // without the question mark

// Free text: `key=value`, `key: value`, JSON members, flags, Bearer, URLs with user information, well-known
// tokens.
std::string redact_text(std::string_view text);

// An argument vector: as redact_text, and a value in an argument of its own after its flag or key.
std::vector<std::string> redact_arguments(std::span<std::string const> arguments);

}  // namespace imdsgate
