// Names of users and groups from /etc/passwd and /etc/group alone. Never NSS: a module may ask the metadata
// service itself, through this very gateway (facts of OS Login).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <unordered_map>

namespace imdsgate {

class AccountNames {
 public:
  explicit AccountNames(std::string passwd = "/etc/passwd", std::string group = "/etc/group");
  // Whether the files have changed is looked at once until look_again().
  void look_again() { users_.looked_at = groups_.looked_at = false; }
  std::optional<std::string> user(uid_t uid);
  std::optional<std::string> group(gid_t gid);

 private:
  struct Stamp {
    long seconds = -1, nanoseconds = 0;
    unsigned long inode = 0;
    bool operator==(Stamp const &) const = default;
  };
  struct File {
    std::string path;
    Stamp stamp;
    bool looked_at = false;
    std::unordered_map<unsigned, std::string> names;
  };
  static bool changed(File &file);
  File users_, groups_;
};

}  // namespace imdsgate
