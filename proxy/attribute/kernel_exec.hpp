// An exec as a kernel program wrote it down (bpf/exec_events.h), in this process's terms. Values only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "attribute/exec_source.hpp"
#include "attribute/proc_parse.hpp"
#include "bpf/exec_events.h"
#include "model/process.hpp"

namespace imdsgate {

struct KernelExec {
  TaskState self;
  pid_t parent_tgid = 0;
  FileId executable;
  std::uint32_t links = 0;
  std::uint64_t mount = 0;            // of the executable, as /proc/self/mountinfo numbers them
  std::uint64_t mount_namespace = 0;  // inode of /proc/PID/ns/mnt
  std::uint64_t cgroup = 0;           // cgroup2 id
  std::uint64_t stack_start = 0, arg_start = 0;
  pid_t tracer = 0;
  std::string comm;
  std::string path;          // of the executable, as /proc/PID/exe reads it but for " (deleted)"
  bool unlinked = false;     // it was deleted
  bool path_known = false;   // false: too long to be written down
  bool detached = false;     // in no tree of directories: the path is a name alone
  std::optional<std::string> working_directory;
  std::string filename;                  // as execve(2) was given it
  std::optional<CommandLine> arguments;  // nullopt: they were not in memory
};

// nullopt: `bytes` is no event of the program's.
std::optional<ProcessEvent> parse_kernel_event(std::span<char const> bytes);

}  // namespace imdsgate
