#include "attribute/kernel_exec.hpp"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "attribute/bpf_identity.hpp"

namespace imdsgate {
namespace {

constexpr std::size_t kExecHead = offsetof(bpf_exec, data);

TaskState state_of(bpf_task const &task) {
  TaskState state{user_ids(task)};
  state.tgid = static_cast<pid_t>(task.tgid);
  state.start_ticks = start_ticks(task);
  state.traced = (task.unusual & BPF_TASK_TRACED) != 0;
  state.exe_changed = (task.unusual & BPF_TASK_EXE_CHANGED) != 0;
  state.other_user_namespace = (task.unusual & BPF_TASK_USER_NAMESPACE) != 0;
  return state;
}

// From the last component to the first, each with its NUL.
std::string path_of(std::string_view components) {
  std::vector<std::string_view> names;
  while (!components.empty()) {
    auto const end = std::min(components.find('\0'), components.size() - 1);
    names.push_back(components.substr(0, end));
    components.remove_prefix(end + 1);
  }
  if (names.empty()) return "/";
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) path.append(1, '/').append(*name);
  return path;
}

class Parts {
 public:
  explicit Parts(std::string_view data) : rest_(data) {}
  std::string_view next(std::uint32_t size) {
    auto const part = rest_.substr(0, size);
    rest_.remove_prefix(part.size());
    return part;
  }

 private:
  std::string_view rest_;
};

KernelExec exec_of(bpf_exec const &head, std::string_view data) {
  KernelExec exec;
  exec.self = state_of(head.event.self);
  exec.parent_tgid = static_cast<pid_t>(head.event.parent.tgid);
  exec.executable = {makedev(head.device >> 20, head.device & 0xfffffu), head.inode};
  exec.links = head.links;
  exec.mount = head.mount;
  exec.mount_namespace = head.mount_namespace;
  exec.cgroup = head.cgroup;
  exec.stack_start = head.stack_start;
  exec.arg_start = head.arg_start;
  exec.tracer = static_cast<pid_t>(head.tracer);
  exec.comm.assign(head.comm, ::strnlen(head.comm, sizeof head.comm));
  Parts parts(data);
  exec.path = path_of(parts.next(head.executable_size));
  exec.unlinked = (head.flags & BPF_EXEC_PATH_UNLINKED) != 0 || head.links == 0;
  exec.path_known = (head.flags & BPF_EXEC_PATH_CUT) == 0;
  exec.detached = (head.flags & BPF_EXEC_PATH_DETACHED) != 0;
  auto const directory = parts.next(head.directory_size);
  if ((head.flags & BPF_EXEC_DIRECTORY_ODD) == 0) exec.working_directory = path_of(directory);
  exec.filename = parts.next(head.filename_size).substr(0, head.filename_size ? head.filename_size - 1 : 0);
  auto const arguments = parts.next(head.arguments_size);
  if ((head.flags & BPF_EXEC_ARGUMENTS_UNREAD) == 0) exec.arguments = parse_cmdline(arguments);
  return exec;
}

}  // namespace

std::optional<ProcessEvent> parse_kernel_event(std::span<char const> bytes) {
  bpf_process_event head;
  if (bytes.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, bytes.data(), sizeof head);
  ProcessEvent event;
  event.time = MonotonicTime(std::chrono::nanoseconds(head.time));
  event.pid = event.tgid = static_cast<pid_t>(head.self.tgid);
  event.parent = state_of(head.parent);
  switch (head.kind) {
    case BPF_PROCESS_FORK:
      event.what = ProcessEvent::What::fork;
      event.child = state_of(head.self);
      event.child_pid = event.child_tgid = event.tgid;
      event.pid = event.tgid = event.parent->tgid;
      if (static_cast<pid_t>(head.caller) != event.tgid) event.copied_from = static_cast<pid_t>(head.caller);
      return event;
    case BPF_PROCESS_EXIT: event.what = ProcessEvent::What::exit; return event;
    case BPF_PROCESS_EXEC: break;
    default: return std::nullopt;
  }
  bpf_exec exec;  // its data stays where it is
  if (bytes.size() < kExecHead || bytes.size() > sizeof exec) return std::nullopt;
  std::memcpy(&exec, bytes.data(), kExecHead);
  event.what = ProcessEvent::What::exec;
  auto const data = bytes.subspan(kExecHead);
  event.image = std::make_shared<KernelExec const>(exec_of(exec, {data.data(), data.size()}));
  return event;
}

}  // namespace imdsgate
