#include "gateway/own_cgroup.hpp"

#include <fstream>

namespace imdsgate {

std::optional<std::string> own_cgroup() {
  std::ifstream file("/proc/self/cgroup");
  constexpr std::string_view unified = "0::/";  // cgroups(7): hierarchy 0, no controllers
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(unified) && line.size() > unified.size()) return line.substr(unified.size());
  }
  return std::nullopt;
}

}  // namespace imdsgate
