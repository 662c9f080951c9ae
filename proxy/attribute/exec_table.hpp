// The tracker's table of living processes: turns process events into exec records. Pure: /proc and the clock
// are functions that it is given. One thread.
//
// A process is found by its number, and the number is believed only as far as events and start times bear it
// out. What a process exec'd is read once, just after the event; nobody's parent is looked up then, because
// the parent was written down at the fork, and what it is follows from its own exec.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "attribute/codec.hpp"
#include "attribute/exec_source.hpp"
#include "attribute/proc_parse.hpp"

namespace imdsgate {

// What the table asks of the system.
struct ProcessReader {
  std::function<Answered<Process>(pid_t)> describe;
  std::function<std::optional<ProcStat>(pid_t)> stat;
  // Of what a source wrote down: what it exec'd, and who it is now.
  std::function<Process(KernelExec const &)> recorded{};
  std::function<void(Process &, TaskState const &)> set_rights{};
  // Makes a description that of another process which has the same image: id, entity_id and start.
  std::function<void(Process &, pid_t, std::uint64_t start_ticks)> rename;
  // What was looked up before counts no longer. Called ahead of events that have happened already: of those, one look
  // serves all.
  std::function<void()> look_again{};
  std::function<std::vector<pid_t>()> everyone;
  std::function<MonotonicTime()> now;
  std::function<std::uint64_t(MonotonicTime)> ticks;  // the time as start_ticks counts it
};

struct ExecTableCounters {
  std::uint64_t execs = 0;
  std::uint64_t unknown = 0;    // execs of which the image could not be read
  std::uint64_t untracked = 0;  // processes that the limit refused: their children have no parent
};

class ExecTable {
 public:
  using Emit = std::function<void(TrackerRecord const &)>;
  ExecTable(ProcessReader reader, Emit emit, std::size_t limit = 65536);

  // Reads all of /proc. After a loss it tells what it finds changed; events that are older than what it saw
  // may still come.
  void scan();
  void apply(std::span<ProcessEvent const> events);
  void apply(ProcessEvent const &event) { apply({&event, 1}); }
  // Events were lost, and /proc has not been read since.
  bool needs_scan() const { return needs_scan_; }
  // Looks whether the processes whose main thread ended before others are still there.
  void sweep();
  bool has_leaderless() const { return !leaderless_.empty(); }

  std::size_t size() const { return processes_.size(); }
  ExecTableCounters const &counters() const { return counters_; }

 private:
  struct Entry {
    pid_t tgid = 0;
    std::optional<std::uint64_t> start_ticks;  // nullopt: not read yet
    std::uint32_t execs = 0;
    ImagePtr image;         // what it was when last read; of one that has not exec'd see `inherited`
    ImagePtr inherited;     // the parent's image at the fork: what it is until it execs
    bool stale = false;     // its credentials or its tracer changed since
    bool traced = false;    // the latter
    bool threaded = false;  // has or had more than one thread
    bool ended = false;
    bool found_changed = false;  // by the scan that is going on
    MonotonicTime since{};       // of the fork, or when /proc was read
    bool forked = false;         // `since` is of its fork, and start_ticks can be held against it
    MonotonicTime scanned{};     // when /proc was last read: events before that are in the reading
    MonotonicTime last_exec{};
    MonotonicTime read{};  // when `image` was read
    pid_t parent_tgid = 0;
    std::shared_ptr<Entry> parent;  // let go when the process ends, or chains of the dead would grow
  };
  using EntryPtr = std::shared_ptr<Entry>;

  void take(ProcessEvent const &event);
  void fork(ProcessEvent const &event);
  void exec(ProcessEvent const &event);
  void exit(ProcessEvent const &event);
  void end(Entry &entry, MonotonicTime when);

  EntryPtr find(pid_t tgid) const;
  EntryPtr add(pid_t tgid);  // in the place of whoever had the number; nullptr: the limit
  void read_image(Entry &entry, ExecRecord &record);
  void take_image(Entry &entry, KernelExec const &exec, ExecRecord &record);
  void compare(Entry &entry, std::optional<TaskState> const &now);
  static bool is_another(Entry const &entry, TaskState const &now);
  void add_parent(Entry &entry, ExecRecord &record);
  ImagePtr image_of(Entry &entry);
  ImagePtr by_inheritance(Entry &entry);
  ImagePtr as_it_ended(Entry &entry) const;
  bool began_as(Entry const &entry, std::uint64_t start_ticks) const;
  bool has_threads_left(pid_t tgid) const;

  EntryPtr look_at(pid_t tgid);
  void tell_changed(Entry &entry, MonotonicTime when);

  ProcessReader reader_;
  Emit emit_;
  std::size_t limit_;
  std::unordered_map<pid_t, EntryPtr> processes_;
  std::vector<pid_t> leaderless_;
  ExecTableCounters counters_;
  bool scanned_ = false;
  bool needs_scan_ = false;
};

}  // namespace imdsgate
