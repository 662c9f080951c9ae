// Is the path of a process's executable what it says? (design §4)
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "attribute/kernel_exec.hpp"
#include "attribute/proc_dir.hpp"

namespace imdsgate {

// Compares /proc/PID/exe with what its path names from this process's own root. nullopt: there is no
// executable to look at. Asks no file system that could fail to answer, unless it is a local one that is
// mounted here, or in the process's own mount namespace if that is one of the initial user namespace.
std::optional<Executable> prove_executable(ProcDir &process, bool traced);

// What the path of an executable names from here.
enum class Sight { same, other, unreadable };

// The same for an exec that a kernel program wrote down. nullopt: what it wrote does not tell, and the process itself
// has to be looked at: some file systems (btrfs, overlayfs) number their files otherwise in stat(2) than within the
// kernel, and some files are in no directory.
//
// A file is looked for once until look_again(): call that ahead of execs that have all happened already.
class RecordedProofs {
 public:
  std::optional<Executable> prove(KernelExec const &exec);
  void look_again() { seen_.clear(); }

 private:
  std::map<std::pair<std::string, FileState>, Sight> seen_;
};

}  // namespace imdsgate
