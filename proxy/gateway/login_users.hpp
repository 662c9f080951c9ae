// Who can log in, by /etc/passwd.
#pragma once

#include <filesystem>

#include "decide/grant_scope.hpp"

namespace imdsgate {

// Users whose shell is one; empty where the file cannot be read. Users of a directory service are not in it.
LoginUsers login_users(std::filesystem::path const &passwd = "/etc/passwd");

}  // namespace imdsgate
