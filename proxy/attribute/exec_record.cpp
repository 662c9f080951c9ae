#include "attribute/exec_record.hpp"

namespace imdsgate {
namespace {

// Some file systems number their files otherwise within the kernel, which recorded `then`, than in stat(2).
bool same_file(Process const &then, Process const &now) {
  if (then.id.exec.executable == now.id.exec.executable) return true;
  bool const proven = then.executable->proven() || now.executable->proven_in_namespace;
  return proven && then.executable->path == now.executable->path;
}

}  // namespace

Lineage with_exec(Lineage const &who, ExecRecord const &exec) {
  Lineage known = who;
  known.process.at_exec = exec.process;
  known.process.exec_seq = exec.exec_seq;
  bool const both_known = exec.process && exec.process->executable && known.process.executable;
  if (both_known && !same_file(*exec.process, known.process)) distrust(known.process, Unproven::exe_changed);
  if (exec.parent) {
    // Whoever has adopted it since is not who started it.
    if (known.parent && known.parent->entity_id == exec.parent->entity_id) {
      known.former_parents.push_back(exec.parent);
    } else {
      known.parent = *exec.parent;
    }
  }
  if (exec.parent_at_fork) known.former_parents.push_back(exec.parent_at_fork);
  return known;
}

}  // namespace imdsgate
