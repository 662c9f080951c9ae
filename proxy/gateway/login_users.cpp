#include "gateway/login_users.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

namespace imdsgate {
namespace {

// passwd(5): seven fields; an empty shell is /bin/sh.
std::vector<std::string> fields_of(std::string const &line) {
  std::vector<std::string> fields(1);
  for (char const c : line) {
    if (c == ':') {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  return fields;
}

bool lets_in(std::string const &shell) {
  static constexpr std::string_view kNone[] = {"nologin", "false",    "true",     "sync",
                                               "halt",    "shutdown", "git-shell"};
  return std::ranges::find(kNone, shell.substr(shell.rfind('/') + 1)) == std::end(kNone);
}
}  // namespace

Result<LoginUsers> login_users(std::filesystem::path const &passwd) {
  LoginUsers users;
  errno = 0;
  std::ifstream stream(passwd);
  auto const failed = [&] {
    return Error{Errc::unreadable, passwd.string() + ": " + std::generic_category().message(errno)};
  };
  if (!stream) return failed();
  for (std::string line; std::getline(stream, line);) {
    auto fields = fields_of(line);
    if (fields.size() != 7) continue;
    if (fields[6].empty()) fields[6] = "/bin/sh";
    if (lets_in(fields[6])) users.emplace(fields[2], LoginUser{fields[0], fields[6]});
  }
  if (stream.bad()) return failed();
  return users;
}

}  // namespace imdsgate
