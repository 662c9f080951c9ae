// Path patterns (interfaces §2): `*` within a segment, `**` any number of whole segments, also none; all else
// is literal and case-sensitive; anchored at both ends; matched on the canonical path.
#pragma once

#include <string>
#include <string_view>

#include "model/result.hpp"

namespace imdsgate {

// One slash between segments, none at the end, nothing decoded; "/" for the root. Used for requests and for
// patterns alike, so that one cannot be written that the other would not reach. Idempotent.
std::string canonical_path(std::string_view path);

// The pattern as it is matched. An error for one that no canonical, unambiguous path can ever match: a typing
// mistake in a policy is found when it is loaded, not when somebody is let through or locked out.
Result<std::string> normalise_pattern(std::string_view pattern);

// Both as the functions above return them. Linear in the path for each `**`. With `fold`, ASCII letters are
// equal in both cases.
bool path_matches(std::string_view pattern, std::string_view path, bool fold = false);

// One segment against one with `*`.
bool segment_matches(std::string_view pattern, std::string_view segment, bool fold);

// The pattern of a path, or of all that a pattern matches, and of everything beneath.
std::string subtree_of(std::string_view path);

// Takes the first segment off a canonical path's rest ("/a/b" becomes "/b"; "" and "/" have none).
std::string_view take_segment(std::string_view &rest);

}  // namespace imdsgate
