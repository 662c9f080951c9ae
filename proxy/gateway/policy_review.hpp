// What `check` says of a policy that is well formed: entries that never apply, and that give more than they
// seem to.
#pragma once

#include <chrono>
#include <vector>

#include "decide/grant_scope.hpp"
#include "gateway/settings.hpp"

namespace imdsgate {

// Warnings, each with its entry's place in `file`:
//   - an entry that can never apply, because an earlier one covers it (deny before allow);
//   - a grant for a known agent that gives more than its shipped profile;
//   - a grant that others get as well: an interpreter, a user that people log in as, a name or image that any pod may have.
std::vector<Problem> review(Configuration const &configuration, std::string const &file,
                            LoginUsers const &logins, std::chrono::system_clock::time_point now);

}  // namespace imdsgate
