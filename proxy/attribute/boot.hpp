// What tells a process of this boot from any other one: its entity id, and when it began.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "model/process.hpp"

namespace imdsgate {

class Boot {
 public:
  Boot();  // reads the boot id and the boot time
  // Makes a description that of another process with the same image: id, entity_id and start.
  void rename(Process &process, pid_t tgid, std::uint64_t start_ticks) const;

 private:
  std::string entity_id(ProcessId const &id) const;

  std::string id_;
  std::chrono::system_clock::time_point time_;
};

}  // namespace imdsgate
