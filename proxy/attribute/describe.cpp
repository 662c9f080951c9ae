#include "attribute/describe.hpp"

#include <unistd.h>

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/string_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <fstream>

namespace imdsgate {
namespace {

constexpr int kAttempts = 2;

std::chrono::system_clock::time_point boot_time() {
  std::ifstream file("/proc/stat");
  std::string key;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) {
      return std::chrono::system_clock::time_point(std::chrono::seconds(std::stoll(line.substr(6))));
    }
  }
  return {};
}

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

Describer::Describer(CgroupTree &cgroups) : cgroups_(cgroups), boot_time_(boot_time()) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::getline(file, boot_id_);
}

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
  process.real_uid = snapshot.real_uid;
  process.effective_uid = snapshot.effective_uid;
  process.saved_uid = snapshot.saved_uid;
  process.real_gid = snapshot.real_gid;
  process.effective_gid = snapshot.effective_gid;
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

void Describer::rename(Process &process, pid_t tgid, std::uint64_t start_ticks) const {
  process.id.tgid = tgid;
  process.id.start_ticks = start_ticks;
  process.entity_id = entity_id(process.id);
  auto const ticks_a_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  process.start = boot_time_ + std::chrono::milliseconds(start_ticks * 1000 / ticks_a_second);
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
  process.real_uid = state.real_uid;
  process.effective_uid = state.effective_uid;
  process.saved_uid = state.saved_uid;
  process.real_gid = state.real_gid;
  process.effective_gid = state.effective_gid;
  process.user_name = names_.user(process.effective_uid);
  process.group_name = names_.group(process.effective_gid);
  // Who was traced once may hold what the tracer put there.
  if (state.traced && process.executable && process.executable->proven()) {
    process.executable->unproven = Unproven::traced;
  }
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

std::string Describer::entity_id(ProcessId const &id) const {
  // A UUIDv5 (RFC 9562 §5.5) in a name space of our own.
  static boost::uuids::uuid const space =
      boost::uuids::string_generator()("6f2b7c1e-52c5-4f0a-9a6e-0d6a8f3d1c47");
  boost::uuids::name_generator_sha1 const generate(space);
  return boost::uuids::to_string(
      generate(boot_id_ + '|' + std::to_string(id.tgid) + '|' + std::to_string(id.start_ticks)));
}

}  // namespace imdsgate
