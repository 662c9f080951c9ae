// Where process events come from. A virtual interface beside Attributor and EventSink, because there is more
// than one: the proc connector, the script of a test, and a BPF program's ring buffer.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "attribute/exec_record.hpp"

namespace imdsgate {

struct KernelExec;  // kernel_exec.hpp

// A process in the moment of an event, as the kernel has it.
struct TaskState : UserIds {
  pid_t tgid = 0;
  std::uint64_t start_ticks = 0;
  bool traced = false;
  bool exe_changed = false;  // its executable is not what an exec gave it
  bool other_user_namespace = false;  // than the initial one
};

struct ProcessEvent {
  enum class What {
    fork,         // pid, tgid: the parent's; child_pid, child_tgid. A new thread has child_tgid == tgid
    exec,         // tgid
    exit,         // one thread, pid, of tgid; of some sources only the last, as tgid
    credentials,  // tgid: its user or group ids changed
    traced,       // tgid: a tracer came or went
    lost,         // events between `since` and `time` are missing, `count` of them (0: not counted)
  } what = What::exec;
  MonotonicTime time{};
  pid_t pid = 0;
  pid_t tgid = 0;
  pid_t child_pid = 0;
  pid_t child_tgid = 0;
  MonotonicTime since{};
  std::uint64_t count = 0;
  // Of a source that looks in the kernel. Of a fork who the child is, of a fork and an exec who the parent is, and of
  // an exec what was exec'd.
  std::optional<TaskState> child{}, parent{};
  pid_t copied_from = 0;  // of a fork, by a source that knows: who called clone(2), if not the parent (CLONE_PARENT)
  std::shared_ptr<KernelExec const> image{};
};

class ExecSource {
 public:
  virtual ~ExecSource() = default;
  // Readable when there may be events. Asked for before each poll(2): until drain() is called, events make it so.
  virtual int poll_fd() = 0;
  // How long events may wait while there are many: what costs the host most is to be woken by each.
  virtual std::chrono::milliseconds patience() const = 0;
  // Appends events, in the order in which they were queued, without waiting. False: there may be more, or a
  // loss is to be told once there are no more. True: whatever is left makes poll_fd() readable.
  virtual bool drain(std::vector<ProcessEvent> &events) = 0;
};

}  // namespace imdsgate
