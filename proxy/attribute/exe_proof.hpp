// Is the path of a process's executable what it says? (design §4)
#pragma once

#include <optional>

#include "attribute/proc_dir.hpp"

namespace imdsgate {

// Compares /proc/PID/exe with what its path names from this process's own root. nullopt: there is no
// executable to look at. Asks no file system that could fail to answer, unless it is a local one that is
// mounted here.
std::optional<Executable> prove_executable(ProcDir &process, bool traced);

}  // namespace imdsgate
