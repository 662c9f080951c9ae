#include "attribute/pid_namespace.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace imdsgate {
namespace {

constexpr ino_t kInitialPidNamespace = 0xEFFFFFFCu;  // PROC_PID_INIT_INO

}  // namespace

bool in_initial_pid_namespace() {
  struct stat space {};
  return ::stat("/proc/self/ns/pid", &space) == 0 && space.st_ino == kInitialPidNamespace;
}

std::string what_is_not_seen() {
  if (in_initial_pid_namespace()) return {};
  return "processes outside this pid namespace: whose socket one of them may hold is other_namespace";
}

Result<void> proc_is_of_this_pid_namespace() {
  std::error_code code;
  auto const self = std::filesystem::read_symlink("/proc/self", code);
  if (!code && self == std::to_string(::getpid())) return {};
  return Error{Errc::refused,
               "/proc is another pid namespace's: its numbers are not those of this one's processes"};
}

}  // namespace imdsgate
