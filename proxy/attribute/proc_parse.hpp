// What the files of /proc/PID say, as values (proc(5)). Pure: the bytes come from elsewhere, and every one of
// them may have been chosen by an attacker. Nothing here throws; what cannot be read is nullopt, never a
// zero.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/process.hpp"

namespace imdsgate {

struct ProcStat {
  pid_t pid = 0;
  std::string comm;  // may hold parentheses, spaces and newlines
  char state = '?';
  pid_t parent = 0;
  unsigned threads = 0;
  std::uint64_t start_ticks = 0;
  std::uint64_t stack_start = 0;  // 0 without an address space (a kernel thread, a zombie)
  std::uint64_t arg_start = 0;
};
std::optional<ProcStat> parse_stat(std::string_view text);

struct ProcStatus : UserIds {
  pid_t tgid = 0;
  pid_t tracer = 0;
};
std::optional<ProcStatus> parse_status(std::string_view text);

constexpr std::size_t kMaxArguments = 64;
constexpr std::size_t kMaxArgumentBytes = 8192;

struct CommandLine {
  std::vector<std::string> args;
  bool truncated = false;
};
// `bytes`: up to kMaxArgumentBytes + 1 of /proc/PID/cmdline; the one byte more tells that there was more.
CommandLine parse_cmdline(std::string_view bytes);

// The path on the line "0::" of /proc/PID/cgroup; nullopt without one, or when it is not anchored ("/../x" is
// outside the reader's cgroup namespace). " (deleted)" stays: no directory has that name, so it proves
// nothing.
std::optional<std::string> cgroup2_path(std::string_view text);

// An element of a cgroup path that names something, and the path of the cgroup it lies in: whoever may write
// there chose the name.
struct CgroupElement {
  std::string value;        // the container id, or the unit's name
  std::string parent_path;  // "/system.slice"; "/" at the root
  bool plausible = false;   // where a host's own container runtime or service manager puts it
};
// Docker, containerd, CRI-O and Podman, with the systemd and the cgroupfs driver. The outermost, because what
// is below a container may have been named inside it.
std::optional<CgroupElement> container_of(std::string_view cgroup_path);
// The last *.service or *.scope.
std::optional<CgroupElement> unit_of(std::string_view cgroup_path);

struct Mount {
  std::uint64_t id = 0;
  std::string root;
  std::string mount_point;
  std::string type;
};
std::vector<Mount> parse_mountinfo(std::string_view text);

// A lookup on it asks no other process and no other machine. An allowlist: a type not known is not local.
bool is_local_filesystem(std::string_view type);

}  // namespace imdsgate
