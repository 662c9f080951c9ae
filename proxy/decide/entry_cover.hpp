// Does one policy entry apply wherever another one does? Told from the texts alone: yes is certain, and no
// may mean that nobody can tell.
#pragma once

#include <string_view>

#include "decide/policy_entry.hpp"

namespace imdsgate {

// `earlier` of that kind decides every request that `later` is about, for everyone it is about. What an
// expiry makes of it counts; whether one has passed is the caller's to look at.
bool covers(PolicyEntry const &earlier, EntryKind kind, PolicyEntry const &later);

// Every path that the second pattern matches, the first one matches, too.
bool pattern_covers(std::string_view wide, std::string_view narrow);

}  // namespace imdsgate
