// What the tracker says of the host's processes (exec_tracker.hpp), as the gateway gets it. Values only.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "model/process.hpp"

namespace imdsgate {

// CLOCK_MONOTONIC in nanoseconds, which is what the kernel stamps a process event with (proc_event in
// linux/cn_proc.h) and what libstdc++ reads for this clock: they compare.
using MonotonicTime = std::chrono::steady_clock::time_point;

// Images are shared: of a loop that starts programs all have the same parent.
using ImagePtr = std::shared_ptr<Process const>;

// One execve(2) that succeeded.
struct ExecRecord {
  MonotonicTime time{};
  pid_t tgid = 0;
  std::uint32_t exec_seq = 0;  // how many of this process were seen, this one included
  // nullopt: not even that could be read, the process was gone.
  std::optional<std::uint64_t> start_ticks;
  // As the process was just after the exec. nullptr: what it exec'd is unknown; `unknown` says why.
  ImagePtr process;
  std::string unknown;
  // By the fork, whoever has adopted it since. As it was at this exec; nullptr: unknown, or there is none.
  pid_t parent_tgid = 0;
  ImagePtr parent;
  // Only when the parent has exec'd between the fork and this exec.
  ImagePtr parent_at_fork;
  // The process exec'd again before it could be looked at, so that the record before this one (of the same
  // process) described this exec: what it exec'd then is unknown.
  bool earlier_unseen = false;
  // Found when /proc was read anew after a loss: `time` is when, the exec was in the span that was lost. Of a
  // process that began in that span it is not known whether it has exec'd at all.
  bool found_later = false;
};

// A process of which an exec was told has ended.
struct ExitRecord {
  MonotonicTime time{};
  pid_t tgid = 0;
  std::uint64_t start_ticks = 0;
};

// Events are missing: an exec within the span may not have been told.
struct LostRecord {
  MonotonicTime from{};
  MonotonicTime to{};
  std::uint64_t events = 0;  // known to be missing; 0: nobody counted them
};

// The tracker has read /proc and what had happened by then. Nothing is missing from here on.
struct ReadyRecord {
  MonotonicTime time{};
  std::uint32_t processes = 0;
};

// The answer to a BarrierRequest: all that had happened when it was sent has been told.
struct BarrierRecord {
  std::uint32_t number = 0;
};

using TrackerRecord = std::variant<ExecRecord, ExitRecord, LostRecord, ReadyRecord, BarrierRecord>;

// What is known of a process, with what it was when it exec'd last and whose child it was then.
Lineage with_exec(Lineage const &who, ExecRecord const &exec);

// From the gateway to the tracker, as it lies in memory.
struct BarrierRequest {
  std::uint32_t number = 0;
};

}  // namespace imdsgate
