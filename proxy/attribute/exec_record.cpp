#include "attribute/exec_record.hpp"

namespace imdsgate {

Lineage with_exec(Lineage const &who, ExecRecord const &exec) {
  Lineage known = who;
  known.process.at_exec = exec.process;
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
