#include "attribute/bpf_identity.hpp"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <tuple>

namespace imdsgate {
namespace {

auto key(bpf_task const &task) {
  return std::tie(task.tgid, task.start_boottime, task.exec_id, task.mm, task.unusual, task.real_uid,
                  task.effective_uid, task.saved_uid, task.real_gid, task.effective_gid, task.saved_gid);
}

}  // namespace

bool same_task(bpf_task const &before, bpf_task const &now) {
  return key(before) == key(now);
}

bool still_same_task(bpf_task const &before, bpf_task now) {
  if (now.mm == 0) now.mm = before.mm;
  return same_task(before, now);
}

std::uint64_t start_ticks(bpf_task const &task) {
  static auto const tick = 1'000'000'000u / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return task.start_boottime / tick;
}

UserIds user_ids(bpf_task const &task) {
  return {task.real_uid, task.effective_uid, task.saved_uid, task.real_gid, task.effective_gid};
}

bool fits(bpf_task const &task, Process const &process) {
  return static_cast<std::uint32_t>(process.id.tgid) == task.tgid && process.id.start_ticks == start_ticks(task) &&
         user_ids(task) == process &&
         (process.tracer_pid != 0) == ((task.unusual & BPF_TASK_TRACED) != 0);
}

std::optional<Unproven> doubt(Process const &process, bpf_task const &task) {
  if (task.unusual & BPF_TASK_EXE_CHANGED) return Unproven::exe_changed;
  if (task.unusual & BPF_TASK_USER_NAMESPACE) return Unproven::other_namespace;
  bool const seen = static_cast<std::uint32_t>(process.id.tgid) == task.tgid &&
                    process.id.start_ticks == start_ticks(task) && task.mm != 0;
  return seen ? std::nullopt : std::optional(Unproven::unreadable);
}

LineagePtr doubted(LineagePtr lineage, bpf_task const &process, bpf_task const &parent) {
  auto const why = doubt(lineage->process, process);
  auto const parents_why = lineage->parent ? doubt(*lineage->parent, parent) : std::nullopt;
  if (!why && !parents_why) return lineage;
  auto copy = std::make_shared<Lineage>(*lineage);
  if (why) distrust(copy->process, *why);
  if (parents_why) distrust(*copy->parent, *parents_why);
  return copy;
}

bool is_copy_of_parent(bpf_connection const &connection) {
  return connection.image.file != 0 && connection.image.file == connection.parent_file;
}

bool brought_about(ExecRecord const &exec, bpf_connection const &connection) {
  auto const &image = connection.image;
  auto const &who = is_copy_of_parent(connection) ? connection.parent : connection.connector;
  if (!exec.process || exec.tgid != static_cast<pid_t>(who.tgid) || exec.start_ticks != start_ticks(who) ||
      exec.time > MonotonicTime(std::chrono::nanoseconds(connection.connected_ns))) {
    return false;
  }
  auto const &key = exec.process->id.exec;
  return key.executable == FileId{makedev(image.device >> 20, image.device & 0xfffffu), image.inode} &&
         key.stack_start == image.stack_start && key.arg_start == image.arg_start;
}

}  // namespace imdsgate
