#include "attribute/account_names.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <memory>
#include <utility>

namespace imdsgate {
namespace {

constexpr std::size_t kMaxNames = 65536;

struct CloseFile {
  void operator()(std::FILE *file) const { std::fclose(file); }
};
using FilePtr = std::unique_ptr<std::FILE, CloseFile>;

template <class Names>
std::optional<std::string> name_in(Names const &names, unsigned id) {
  auto const found = names.find(id);
  if (found == names.end()) return std::nullopt;
  return found->second;
}

}  // namespace

AccountNames::AccountNames(std::string passwd, std::string group) {
  users_.path = std::move(passwd);
  groups_.path = std::move(group);
}

bool AccountNames::changed(File &file) {
  if (std::exchange(file.looked_at, true)) return false;
  struct stat state {};
  Stamp stamp;
  if (::stat(file.path.c_str(), &state) == 0) {
    stamp = {state.st_mtim.tv_sec, state.st_mtim.tv_nsec, state.st_ino};
  }
  if (stamp == file.stamp) return false;
  file.stamp = stamp;
  file.names.clear();
  return true;
}

std::optional<std::string> AccountNames::user(uid_t uid) {
  if (changed(users_)) {
    std::array<char, 8192> buffer;
    passwd entry{};
    passwd *result = nullptr;
    FilePtr const file(std::fopen(users_.path.c_str(), "re"));
    while (file && users_.names.size() < kMaxNames &&
           ::fgetpwent_r(file.get(), &entry, buffer.data(), buffer.size(), &result) == 0) {
      users_.names.emplace(entry.pw_uid, entry.pw_name);  // the first entry of a number is its name
    }
  }
  return name_in(users_.names, uid);
}

std::optional<std::string> AccountNames::group(gid_t gid) {
  if (changed(groups_)) {
    std::string buffer(256u << 10, '\0');  // a group's line lists its members
    ::group entry{};
    ::group *result = nullptr;
    FilePtr const file(std::fopen(groups_.path.c_str(), "re"));
    while (file && groups_.names.size() < kMaxNames &&
           ::fgetgrent_r(file.get(), &entry, buffer.data(), buffer.size(), &result) == 0) {
      groups_.names.emplace(entry.gr_gid, entry.gr_name);
    }
  }
  return name_in(groups_.names, gid);
}

}  // namespace imdsgate
