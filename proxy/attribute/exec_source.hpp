// Where process events come from. A virtual interface beside Attributor and EventSink, because there is more
// than one: the proc connector, the script of a test, and a BPF program's ring buffer.
#pragma once

#include <vector>

#include "attribute/exec_record.hpp"

namespace imdsgate {

struct ProcessEvent {
  enum class What {
    fork,         // pid, tgid: the parent's; child_pid, child_tgid. A new thread has child_tgid == tgid
    exec,         // tgid
    exit,         // one thread, pid, of tgid
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
};

class ExecSource {
 public:
  virtual ~ExecSource() = default;
  virtual int poll_fd() const = 0;  // readable when there may be events
  // Appends events, in the order in which they were queued, without waiting. False: there may be more, or a
  // loss is to be told once there are no more. True: whatever is left makes poll_fd() readable.
  virtual bool drain(std::vector<ProcessEvent> &events) = 0;
};

}  // namespace imdsgate
