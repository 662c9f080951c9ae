// The kernel's own identity of a process: start time, exec counter, address space, credentials. What execs,
// or changes its user, is another.
#pragma once

#include "attribute/exec_record.hpp"
#include "bpf/attribute_maps.h"
#include "model/process.hpp"

namespace imdsgate {

// Whether `now` is the same process, running the same program with the same rights, untraced if it was.
bool same_task(bpf_task const &before, bpf_task const &now);
// The same of a process that is asked about by its number: when its main thread has ended, its memory is not
// there under that number. The exec counter is, and an exec makes the thread that calls it the main one.
bool still_same_task(bpf_task const &before, bpf_task now);

// Is what /proc said about the process that the kernel saw?
bool fits(bpf_task const &task, Process const &process);

// Why an executable is not proven that /proc says is: the kernel does not know it to be what was exec'd.
std::optional<Unproven> doubt(Process const &process, bpf_task const &task);
// As believed as the kernel bears it out.
LineagePtr doubted(LineagePtr lineage, bpf_task const &process, bpf_task const &parent);

// Is it a copy of its parent that has not exec'd: did the two have the same file, and not only the same program?
bool is_copy_of_parent(bpf_connection const &connection);
// Is this exec, by the connector or by the parent that it is a copy of, the one that gave it the program it connected with?
bool brought_about(ExecRecord const &exec, bpf_connection const &connection);
std::uint64_t start_ticks(bpf_task const &task);  // as ProcessId has it: field 22 of /proc/PID/stat (proc(5))
UserIds user_ids(bpf_task const &task);

// What a description of a connection's process is believed for: that process, that parent, that cgroup.
struct BpfIdentity {
  explicit BpfIdentity(bpf_connection const &connection)
      : process(connection.connector), parent(connection.parent), cgroup(connection.cgroup) {}
  bool operator==(BpfIdentity const &other) const {
    return same_task(process, other.process) && same_task(parent, other.parent) && cgroup == other.cgroup;
  }

  bpf_task process, parent;
  std::uint64_t cgroup;
};

}  // namespace imdsgate
