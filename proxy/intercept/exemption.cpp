#include "intercept/exemption.hpp"

#include <mntent.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string_view>

#include "intercept/listening.hpp"

namespace imdsgate {
namespace {

constexpr char const *kUser = "imdsgate";
constexpr char const *kCgroup = "system.slice/imdsgate.service";

struct CloseFile {
  void operator()(std::FILE *file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

bool is_privileged_port(std::uint16_t port) {
  unsigned first_unprivileged = 1024;
  std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first_unprivileged;
  return port < first_unprivileged;
}

std::optional<uid_t> listener_uid(std::uint16_t port) {
  auto const listeners = listening_sockets(port);
  if (!listeners || listeners->empty() || !is_privileged_port(port)) return std::nullopt;
  uid_t const uid = listeners->front().uid;
  bool const same = std::ranges::all_of(*listeners, [&](auto const &each) { return each.uid == uid; });
  return same ? std::optional(uid) : std::nullopt;
}

// /etc/passwd itself: a name service module may ask the metadata service (facts of Google's OS Login).
std::optional<uid_t> service_user() {
  File const file(std::fopen("/etc/passwd", "re"));
  if (!file) return std::nullopt;
  while (auto const *entry = ::fgetpwent(file.get())) {
    if (std::string_view(entry->pw_name) == kUser) return entry->pw_uid;
  }
  return std::nullopt;
}

std::optional<std::string> service_cgroup() {
  File const mounts(::setmntent("/proc/self/mounts", "re"));
  if (!mounts) return std::nullopt;
  while (auto const *mount = ::getmntent(mounts.get())) {
    if (std::string_view(mount->mnt_type) != "cgroup2") continue;
    struct stat status {};
    std::string const path = std::string(mount->mnt_dir) + '/' + kCgroup;
    if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return kCgroup;
  }
  return std::nullopt;
}

}  // namespace

Exemption find_exemption(std::uint32_t mark, std::uint32_t mask, std::uint16_t listen_port) {
  auto uid = listener_uid(listen_port);
  if (!uid) uid = service_user();
  if (!uid) uid = ::getuid();
  return {mark, mask, uid, service_cgroup()};
}

}  // namespace imdsgate
