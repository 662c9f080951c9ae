// The cgroup2 hierarchy as this process sees it: who is in a cgroup, and whether its name may be believed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "attribute/held_fd.hpp"

namespace imdsgate {

class CgroupTree {
 public:
  // Finds the mount in /proc/self/mountinfo; without one every answer is nullopt or false.
  static CgroupTree open();

  // The processes of the cgroup with this id (the one sock_diag reports), in order, beginning with 0 if some of
  // them are outside this pid namespace; nullopt: it is gone or may not be
  // opened. Opening by id needs CAP_DAC_READ_SEARCH.
  std::optional<std::vector<pid_t>> processes(std::uint64_t id);
  // The same by its path, "/system.slice/x.service".
  std::optional<std::vector<pid_t>> processes(std::string const &path);

  // Its path, "/system.slice/x.service"; nullopt: as above.
  std::optional<std::string> path(std::uint64_t id);

  // Only root can have made names in this cgroup: it and every one above belong to root and are not
  // delegated.
  bool only_root_names_in(std::string const &path) const;

 private:
  struct Opened {
    std::uint64_t id;
    HeldFd directory, members;
    std::string path;  // no cgroup2 is ever renamed; empty: not asked yet
  };
  Opened *opened(std::uint64_t id);
  HeldFd root_;
  std::string mount_point_;
  std::list<Opened> recent_;  // the last used first
};

}  // namespace imdsgate
