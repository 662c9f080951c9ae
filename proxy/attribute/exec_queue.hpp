// Where process events wait for the tracker, as the gateway holds it: it hands the descriptors on, and looks whether
// anything waits.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attribute/held_fd.hpp"
#include "model/result.hpp"

namespace imdsgate {

struct ExecQueue {
  char const *source = "";  // for people: "bpf" or "proc_connector"
  // The tracker's, behind those of TrackerFds: the connector, or the ring and what is shared.
  std::vector<int> fds;
  // Everything that has happened was taken, and no loss is left to be told. At most one system call.
  std::function<bool()> empty;
  std::shared_ptr<void> owner;         // of the descriptors and of what `empty` looks at
  std::optional<std::string> finding;  // what is less than asked for
};

}  // namespace imdsgate
