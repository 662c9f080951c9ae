// Everything there is to say about a process, its parent and its ancestors (model/process.hpp).
#pragma once

#include <string>

#include "attribute/account_names.hpp"
#include "attribute/boot.hpp"
#include "attribute/cgroup_tree.hpp"
#include "attribute/codec.hpp"
#include "attribute/exe_proof.hpp"
#include "attribute/kernel_exec.hpp"
#include "attribute/proc_dir.hpp"

namespace imdsgate {

class Describer {
 public:
  explicit Describer(CgroupTree &cgroups);

  // process_gone: it ended, or the number is another's now. holder_changed: it exec'd while it was read,
  // twice.
  Answered<Lineage> lineage(Describe const &question);

  // A process that has ended, as its parent's copy: described is the parent, as process_gone or holder_changed of
  // lineage().
  Answered<Lineage> forked(DescribeForked const &question);

  // The process alone, as it is now; its executable is nullopt where it may not be looked at. In as few reads
  // as tell whether it exec'd meanwhile: changed credentials are for the caller to notice.
  Answered<Process> image(pid_t tgid);
  // Makes a description that of another process with the same image: id, entity_id and start.
  void rename(Process &process, pid_t tgid, std::uint64_t start_ticks) const {
    boot_.rename(process, tgid, start_ticks);
  }

  // As image(), of what a kernel program wrote down when the process exec'd; looks at the process itself only for what
  // that does not tell, and does without where it has ended.
  Process recorded(KernelExec const &exec);
  // Ahead of execs that have all happened already: files and accounts are looked at once for all of them.
  void look_again();
  // What `state` says of the process's users and its tracer.
  void set_rights(Process &process, TaskState const &state);

 private:
  // `dir` is kept by the caller. Its snapshot is taken before and after; nothing in between is believed if
  // they differ.
  Answered<Process> process(ProcDir &dir, bool executable_optional);
  Process read(ProcDir &dir, ProcessSnapshot const &snapshot);
  Process with_its_own_word(Process recorded, KernelExec const &exec);
  void set_cgroup(Process &process, std::string path) const;
  std::vector<Ancestor> ancestry(pid_t parent) const;

  CgroupTree &cgroups_;
  AccountNames names_;
  RecordedProofs proofs_;
  Boot boot_;
};

}  // namespace imdsgate
