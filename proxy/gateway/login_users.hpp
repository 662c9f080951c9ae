// Who can log in, by /etc/passwd.
#pragma once

#include <filesystem>

#include "decide/grant_scope.hpp"
#include "model/result.hpp"

namespace imdsgate {

// Users whose shell is one, every name of a uid. Users of a directory service are not in it. Blocks.
Result<LoginUsers> login_users(std::filesystem::path const &passwd = "/etc/passwd");

}  // namespace imdsgate
