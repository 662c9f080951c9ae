#include "attribute/describe.hpp"

#include <algorithm>

namespace imdsgate {
namespace {

constexpr int kAttempts = 2;

std::string without_deleted_mark(std::string path) {
  constexpr std::string_view kMark = " (deleted)";
  if (path.ends_with(kMark)) path.resize(path.size() - kMark.size());
  return path;
}

Refusal changed(pid_t pid) {
  return {Reason::holder_changed, "process " + std::to_string(pid) + " changed while it was read"};
}

std::string basename_of(std::string const &path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

Describer::Describer(CgroupTree &cgroups) : cgroups_(cgroups) {}

Answered<Lineage> Describer::lineage(Describe const &question) {
  auto dir = ProcDir::open(question.tgid);
  Refusal const ended{Reason::process_gone, "process " + std::to_string(question.tgid) + " ended"};
  if (!dir) return ended;
  Lineage lineage;
  for (int attempt = 0;; ++attempt) {
    auto process = this->process(*dir, false);
    if (process && process->id.start_ticks != question.start_ticks) return ended;
    if (process) {
      lineage.process = std::move(*process);
      break;
    }
    if (process.error().reason != Reason::holder_changed || attempt + 1 == kAttempts) return process.error();
  }
  if (auto parent_dir = ProcDir::open(lineage.process.parent_pid)) {
    auto parent = process(*parent_dir, true);
    // Opened by number: it is the parent only if the child still says so.
    auto const now = dir->stat();
    if (!now || now->parent != lineage.process.parent_pid) {
      return Refusal{Reason::holder_changed, "the parent ended while it was read"};
    }
    if (parent) lineage.parent = std::move(*parent);
  }
  lineage.ancestry = ancestry(lineage.process.parent_pid);
  return lineage;
}

Answered<Process> Describer::process(ProcDir &dir, bool executable_optional) {
  auto const before = dir.snapshot(executable_optional);
  if (!before) return before.error();
  auto process = read(dir, *before);
  auto const after = dir.snapshot(executable_optional);
  if (!after) return after.error();
  if (*after != *before) return changed(dir.pid());
  return process;
}

Process Describer::read(ProcDir &dir, ProcessSnapshot const &snapshot) {
  Process process;
  process.id = snapshot.id;
  process.parent_pid = dir.parent();
  process.tracer_pid = snapshot.tracer;
  process.comm = snapshot.id.exec.comm;
  static_cast<UserIds &>(process) = snapshot;
  process.executable = prove_executable(dir, snapshot.tracer != 0);
  // Neither cmdline nor cwd asks a file system: cmdline is read from anonymous pages only
  // (proc_pid_cmdline_read), and cwd is the name the kernel has.
  auto line = parse_cmdline(dir.read("cmdline", kMaxArgumentBytes + 1).value_or(""));
  process.args = std::move(line.args);
  process.args_truncated = line.truncated;
  process.working_directory = dir.link("cwd");
  names_.look_again();
  process.user_name = names_.user(process.effective_uid);
  process.group_name = names_.group(process.effective_gid);
  rename(process, process.id.tgid, process.id.start_ticks);
  auto const cgroups = dir.read("cgroup", kMaxCgroupBytes);
  if (auto path = cgroups ? cgroup2_path(*cgroups) : std::nullopt) set_cgroup(process, std::move(*path));
  return process;
}

Answered<Process> Describer::image(pid_t tgid) {
  Refusal why{Reason::process_gone, "process " + std::to_string(tgid) + " ended"};
  auto dir = ProcDir::open_unchecked(tgid);
  for (int attempt = 0; dir && attempt < kAttempts; ++attempt) {
    auto const before = dir->snapshot(true);
    if (!before) return before.error();
    auto process = read(*dir, *before);
    auto const after = dir->stat();
    if (!after) return why;
    // Where the leader has ended its stat names no image; that is rare, and asked at length.
    bool const same =
        after->stack_start == before->id.exec.stack_start && after->arg_start == before->id.exec.arg_start;
    if (same || dir->snapshot(true) == before) return process;
    why = changed(tgid);
  }
  return why;
}

void Describer::look_again() {
  names_.look_again();
  proofs_.look_again();
}

Process Describer::recorded(KernelExec const &exec) {
  Process process;
  process.id.exec = {exec.executable, exec.comm, exec.stack_start, exec.arg_start};
  process.parent_pid = exec.parent_tgid;
  process.comm = exec.comm;
  process.executed_as = exec.filename;
  process.executable = proofs_.prove(exec);
  if (exec.arguments) {
    process.args = exec.arguments->args;
    process.args_truncated = exec.arguments->truncated;
  }
  process.working_directory = exec.working_directory;
  rename(process, exec.self.tgid, exec.self.start_ticks);
  set_rights(process, exec.self);
  process.tracer_pid = exec.tracer;
  if (auto path = cgroups_.path(exec.cgroup)) set_cgroup(process, std::move(*path));
  if (process.executable && exec.arguments) return process;
  return with_its_own_word(std::move(process), exec);
}

Process Describer::with_its_own_word(Process recorded, KernelExec const &exec) {
  auto const seen = image(exec.self.tgid);
  bool const same = seen && seen->id.start_ticks == exec.self.start_ticks &&
                    seen->id.exec.stack_start == exec.stack_start && seen->id.exec.arg_start == exec.arg_start;
  // Only what was not recorded: the rest it may have rewritten, and without randomised addresses another program may lie
  // at the same ones.
  if (same && !exec.arguments) {
    recorded.args = seen->args;
    recorded.args_truncated = seen->args_truncated;
  }
  if (recorded.executable) return recorded;
  bool const same_path = same && seen->executable && (!exec.path_known || seen->executable->path == exec.path);
  recorded.executable = same_path ? seen->executable : Executable{exec.path, exec.unlinked, Unproven::unreadable};
  return recorded;
}

void Describer::set_rights(Process &process, TaskState const &state) {
  static_cast<UserIds &>(process) = state;
  process.user_name = names_.user(process.effective_uid);
  process.group_name = names_.group(process.effective_gid);
  if (state.exe_changed) distrust(process, Unproven::exe_changed);
  if (state.other_user_namespace) distrust(process, Unproven::other_namespace);
  // Who was traced once may hold what the tracer put there.
  if (state.traced) distrust(process, Unproven::traced);
}

void Describer::set_cgroup(Process &process, std::string path) const {
  process.cgroup = std::move(path);
  if (auto container = container_of(process.cgroup)) {
    process.container_proven = container->plausible && cgroups_.only_root_names_in(container->parent_path);
    process.container_id = std::move(container->value);
  }
  if (auto unit = unit_of(process.cgroup)) {
    process.unit_proven = unit->plausible && cgroups_.only_root_names_in(unit->parent_path);
    process.unit = std::move(unit->value);
  }
}

Answered<Lineage> Describer::forked(DescribeForked const &question) {
  Lineage lineage;
  if (question.parent) {
    auto parents = this->lineage(*question.parent);
    if (!parents) return parents.error();
    auto const &parent = parents->process;
    auto const name = parent.executable ? parent.name() : parent.comm;
    auto const path = parent.executable ? std::optional(parent.executable->path) : std::nullopt;
    lineage.ancestry.push_back({parent.id.tgid, name, path});
    std::ranges::copy(parents->ancestry, std::back_inserter(lineage.ancestry));
    if (lineage.ancestry.size() > kMaxAncestors) lineage.ancestry.resize(kMaxAncestors);
    lineage.process = parent;
    lineage.parent = std::move(parents->process);
  }
  auto &process = lineage.process;
  process.parent_pid = question.parent ? question.parent->tgid : 0;
  process.tracer_pid = 0;
  process.working_directory.reset();  // its own, which nobody wrote down
  names_.look_again();
  set_rights(process, TaskState{question});
  auto path = cgroups_.path(question.cgroup);
  if (!path) return Refusal{Reason::unreadable, "its cgroup is gone"};
  process.container_id.reset();
  process.unit.reset();
  process.container_proven = process.unit_proven = false;
  set_cgroup(process, std::move(*path));
  return lineage;
}

std::vector<Ancestor> Describer::ancestry(pid_t parent) const {
  std::vector<Ancestor> chain;
  while (parent > 0 && chain.size() < kMaxAncestors) {
    Ancestor ancestor;
    ancestor.pid = parent;
    parent = 0;
    if (auto dir = ProcDir::open(ancestor.pid)) {
      auto const stat = dir->stat();
      if (stat) parent = stat->parent;
      if (auto path = dir->link("exe")) {
        ancestor.executable = without_deleted_mark(std::move(*path));
        ancestor.name = basename_of(*ancestor.executable);
      } else if (stat) {
        ancestor.name = stat->comm;
      }
    }
    chain.push_back(std::move(ancestor));
  }
  return chain;
}

}  // namespace imdsgate
