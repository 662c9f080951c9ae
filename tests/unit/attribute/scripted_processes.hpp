// Processes that a test makes up, for the tracker's table: what /proc would say of them, and the events.
#pragma once

#include <map>

#include "attribute/exec_source.hpp"
#include "attribute/exec_table.hpp"
#include "attribute/kernel_exec.hpp"

namespace imdsgate::test {

using namespace std::chrono_literals;

struct ScriptedProcess {
  std::uint64_t start_ticks = 0;
  pid_t parent = 0;
  std::string exe;
  std::uint64_t stack = 0;  // another for each image, as the kernel randomises it
  unsigned threads = 1;
  char state = 'S';
  uid_t uid = 0;
};

class ScriptedProcesses {
 public:
  std::map<pid_t, ScriptedProcess> there;
  MonotonicTime now{1000s};
  int described = 0, looked_at = 0, batches = 0;

  ProcessReader reader() {
    ProcessReader reader;
    reader.describe = [this](pid_t pid) { return describe(pid); };
    reader.stat = [this](pid_t pid) { return stat(pid); };
    reader.rename = [](Process &process, pid_t pid, std::uint64_t ticks) { rename(process, pid, ticks); };
    reader.everyone = [this] {
      std::vector<pid_t> pids;
      for (auto const &[pid, process] : there) pids.push_back(pid);
      return pids;
    };
    reader.now = [this] { return now; };
    reader.ticks = [](MonotonicTime time) { return ticks_at(time); };
    reader.recorded = recorded;
    reader.look_again = [this] { ++batches; };
    reader.set_rights = [](Process &process, TaskState const &state) {
      process.effective_uid = state.effective_uid;
      if (state.exe_changed) process.executable->unproven = Unproven::exe_changed;
      if (state.traced) process.executable->unproven = Unproven::traced;
    };
    return reader;
  }
  static std::uint64_t ticks_at(MonotonicTime time) {
    return static_cast<std::uint64_t>(time.time_since_epoch() / 10ms);
  }
  std::uint64_t ticks() const { return ticks_at(now); }

  // Each takes a millisecond, changes the processes and makes the event.
  ProcessEvent fork(pid_t parent, pid_t child) {
    auto copy = there.at(parent);
    copy.start_ticks = ticks();
    copy.parent = parent;
    copy.threads = 1;
    there[child] = copy;
    auto event = next(ProcessEvent::What::fork, parent, parent);
    event.child_pid = event.child_tgid = child;
    return event;
  }
  ProcessEvent thread(pid_t process, pid_t thread) {
    ++there.at(process).threads;
    auto event = next(ProcessEvent::What::fork, process, process);
    event.child_pid = thread;
    event.child_tgid = process;
    return event;
  }
  ProcessEvent exec(pid_t pid, std::string exe) {
    there.at(pid).exe = std::move(exe);
    there.at(pid).stack = ++stacks_;
    there.at(pid).threads = 1;
    return next(ProcessEvent::What::exec, pid, pid);
  }
  // The same two by a source that looks in the kernel: with what it saw there.
  TaskState state(pid_t pid) const {
    TaskState state;
    state.tgid = pid;
    state.start_ticks = there.at(pid).start_ticks;
    state.effective_uid = there.at(pid).uid;
    return state;
  }
  ProcessEvent kernel_fork(pid_t parent, pid_t child) {
    auto event = fork(parent, child);
    event.child = state(child);
    event.parent = state(parent);
    return event;
  }
  ProcessEvent kernel_exec(pid_t pid, std::string path) {
    auto event = exec(pid, path);
    auto image = std::make_shared<KernelExec>();
    image->self = state(pid);
    image->path = std::move(path);
    image->stack_start = image->arg_start = there.at(pid).stack;
    image->parent_tgid = there.at(pid).parent;
    event.image = std::move(image);
    if (there.contains(there.at(pid).parent)) event.parent = state(there.at(pid).parent);
    return event;
  }
  ProcessEvent exit(pid_t pid) {
    there.erase(pid);
    return next(ProcessEvent::What::exit, pid, pid);
  }
  ProcessEvent next(ProcessEvent::What what, pid_t pid, pid_t tgid) {
    now += 1ms;
    ProcessEvent event;
    event.what = what;
    event.time = now;
    event.pid = pid;
    event.tgid = tgid;
    return event;
  }

 private:
  std::optional<ProcStat> stat(pid_t pid) {
    ++looked_at;
    auto const found = there.find(pid);
    if (found == there.end()) return std::nullopt;
    ProcStat stat;
    stat.pid = pid;
    stat.state = found->second.state;
    stat.parent = found->second.parent;
    stat.threads = found->second.threads;
    stat.start_ticks = found->second.start_ticks;
    stat.stack_start = stat.arg_start = found->second.stack;
    return stat;
  }
  Answered<Process> describe(pid_t pid) {
    ++described;
    auto const found = there.find(pid);
    if (found == there.end() || found->second.state == 'Z') return Refusal{Reason::process_gone, "it ended"};
    auto const &from = found->second;
    Process process;
    process.id.exec = {{1, std::hash<std::string>()(from.exe)}, "comm", from.stack, from.stack};
    process.parent_pid = from.parent;
    process.executable = Executable{from.exe, false, std::nullopt};
    process.effective_uid = from.uid;
    rename(process, pid, from.start_ticks);
    return process;
  }
  static Process recorded(KernelExec const &exec) {
    Process process;
    process.id.exec = {{1, std::hash<std::string>()(exec.path)}, "comm", exec.stack_start, exec.arg_start};
    process.parent_pid = exec.parent_tgid;
    process.executable = Executable{exec.path, false, std::nullopt};
    process.effective_uid = exec.self.effective_uid;
    rename(process, exec.self.tgid, exec.self.start_ticks);
    return process;
  }
  static void rename(Process &process, pid_t pid, std::uint64_t ticks) {
    process.id.tgid = pid;
    process.id.start_ticks = ticks;
    process.entity_id = std::to_string(pid) + "@" + std::to_string(ticks);
  }
  std::uint64_t stacks_ = 100;
};

}  // namespace imdsgate::test
