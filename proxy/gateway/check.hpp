// `imdsgate check` without its command line.
#pragma once

#include <filesystem>
#include <string>

namespace imdsgate {

struct CheckReport {
  std::string problems;   // `file:line:column: problem`, one a line, every one
  std::string effective;  // the whole configuration in force as YAML; empty when there is an error
  int exit_status = 0;    // 0: good, or warnings only; 2: an error
};

// What a `run` would load, as load_configuration() does it, and what review() says of it.
CheckReport check_configuration(std::filesystem::path const &file, bool named,
                                std::filesystem::path const &dmi = "/sys/class/dmi/id",
                                std::filesystem::path const &passwd = "/etc/passwd");

}  // namespace imdsgate
