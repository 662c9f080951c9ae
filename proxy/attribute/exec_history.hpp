// What the gateway knows of the execs of the host. Pure: time is passed in. One thread.
//
// "Not seen" and "unknown" are different answers: whoever concludes from the absence of an exec asks whether
// something may be missing in the span he looks at.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>

#include "attribute/exec_record.hpp"

namespace imdsgate {

using ExecRecordPtr = std::shared_ptr<ExecRecord const>;

struct ExecHistoryOptions {
  // How long an exec, a process that has ended and a loss are remembered: twice the longest maxspan of the
  // rules, and not less than this.
  std::chrono::milliseconds retain{10000};
  std::size_t processes = 32768;
  std::size_t recent = 16384;
};

struct ExecHistoryCounters {
  std::uint64_t execs = 0;
  std::uint64_t unknown = 0;            // execs of which the image is not known
  std::uint64_t refused_processes = 0;  // by the limit; their time counts as forgotten
  std::uint64_t dropped_recent = 0;     // by the limit, before their time; it counts as forgotten
  std::uint64_t buried_early = 0;       // processes that had ended, by the limit, before their time
};

class ExecHistory {
 public:
  explicit ExecHistory(ExecHistoryOptions options = {}) : options_(options) {}

  void add(ExecRecordPtr record);
  void ended(ExitRecord const &exit);
  void lost(MonotonicTime from, MonotonicTime to);  // nobody was told of them
  void expire(MonotonicTime now);
  // After a reload with other rules; what was forgotten stays so.
  void retain(std::chrono::milliseconds retain) { options_.retain = retain; }

  // The last exec of the process, also when it has ended lately. nullptr: none was seen.
  ExecRecordPtr find(pid_t tgid, std::uint64_t start_ticks) const;

  // The last that it did by then, of those of lately.
  ExecRecordPtr find(pid_t tgid, std::uint64_t start_ticks, MonotonicTime by) const;

  // In the order of their time as far as the kernel kept to it (milliseconds), oldest first. For an engine
  // that starts anew.
  std::deque<ExecRecordPtr> const &recent() const { return recent_; }

  // May execs between the two times (inclusive) be missing here: lost, or told and forgotten again by a
  // limit?
  bool unknown_since(MonotonicTime from, MonotonicTime to) const;
  // Only those that nobody was told of: whoever was told of the others at the time, as an engine is, knows
  // them.
  bool lost_since(MonotonicTime from, MonotonicTime to) const;
  // The last exec that recent() has no room for: an engine that starts anew is told of none up to then.
  std::optional<MonotonicTime> dropped_until() const { return dropped_until_; }
  // Did a child of this parent exec something between the two times of which nobody knows what it was?
  bool unknown_under(pid_t parent_tgid, std::uint64_t parent_start_ticks, MonotonicTime from,
                     MonotonicTime to) const;

  ExecHistoryCounters const &counters() const { return counters_; }
  std::size_t processes() const { return processes_.size(); }

 private:
  struct Key {
    pid_t tgid = 0;
    std::uint64_t start_ticks = 0;
    bool operator==(Key const &) const = default;
  };
  struct Hash {
    std::size_t operator()(Key const &key) const {
      return std::hash<std::uint64_t>()(key.start_ticks * 0x9e3779b97f4a7c15u +
                                        static_cast<std::uint64_t>(key.tgid));
    }
  };
  struct Known {
    ExecRecordPtr last;
    bool ended = false;
  };
  struct Tombstone {
    MonotonicTime when;
    Key key;
  };
  struct Span {
    MonotonicTime from, to;
  };
  struct Unknown {
    Span span;
    pid_t parent_tgid;
    std::optional<std::uint64_t> parent_start_ticks;
  };

  void remember(ExecRecordPtr const &record);
  void note_unknown(ExecRecord const &record, MonotonicTime from, MonotonicTime to);
  std::optional<MonotonicTime> bury(
      Tombstone const &tombstone);  // when it exec'd last, if it is forgotten now
  using Spans = std::deque<Span>;
  static void add(Spans &spans, MonotonicTime from, MonotonicTime to);

  ExecHistoryOptions options_;
  ExecHistoryCounters counters_;
  std::unordered_map<Key, Known, Hash> processes_;
  std::deque<ExecRecordPtr> recent_;
  std::deque<Tombstone> tombstones_;  // the first to end first
  Spans lost_, forgotten_;
  std::optional<MonotonicTime> dropped_until_;
  std::deque<Unknown> unknown_;
};

}  // namespace imdsgate
