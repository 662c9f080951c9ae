#include "attribute/exec_table.hpp"

#include "attribute/kernel_exec.hpp"

#include <algorithm>
#include <utility>

namespace imdsgate {
namespace {

// How long before its fork event a process may have got its start time (copy_process takes it first, and may
// be preempted), and how far the conversion may be off.
constexpr std::uint64_t kTicksBefore = 20;
constexpr std::uint64_t kTicksAfter = 1;

// Of one image: what execve(2) places anew each time. comm is left out, a process may change it.
bool same_image(ExecKey const &a, ExecKey const &b) {
  return a.executable == b.executable && a.stack_start == b.stack_start && a.arg_start == b.arg_start;
}

}  // namespace

ExecTable::ExecTable(ProcessReader reader, Emit emit, std::size_t limit)
    : reader_(std::move(reader)), emit_(std::move(emit)), limit_(limit) {}

void ExecTable::apply(std::span<ProcessEvent const> events) {
  if (reader_.look_again) reader_.look_again();
  for (auto const &event : events) take(event);
}

void ExecTable::take(ProcessEvent const &event) {
  switch (event.what) {
    case ProcessEvent::What::fork: return fork(event);
    case ProcessEvent::What::exec: return exec(event);
    case ProcessEvent::What::exit: return exit(event);
    case ProcessEvent::What::credentials:
    case ProcessEvent::What::traced:
      if (auto const entry = find(event.tgid)) {
        entry->stale = true;
        entry->traced = entry->traced || event.what == ProcessEvent::What::traced;
      }
      return;
    case ProcessEvent::What::lost:
      emit_(LostRecord{event.since, event.time, event.count});
      needs_scan_ = true;
      return;
  }
}

ExecTable::EntryPtr ExecTable::find(pid_t tgid) const {
  auto const found = processes_.find(tgid);
  return found == processes_.end() ? nullptr : found->second;
}

ExecTable::EntryPtr ExecTable::add(pid_t tgid) {
  auto entry = std::make_shared<Entry>();
  entry->tgid = tgid;
  if (auto const before = processes_.find(tgid); before != processes_.end()) {
    end(*before->second, reader_.now());  // that its exit was not seen is what a loss does
    return processes_[tgid] = std::move(entry);
  }
  if (processes_.size() >= limit_) {
    ++counters_.untracked;
    return nullptr;
  }
  return processes_[tgid] = std::move(entry);
}

void ExecTable::fork(ProcessEvent const &event) {
  auto parent = find(event.tgid);
  if (parent && event.parent && is_another(*parent, *event.parent)) parent = nullptr;  // its own fork was lost
  if (event.child_tgid == event.tgid && event.child_pid != event.tgid) {  // a thread
    if (parent) parent->threaded = true;
    return;
  }
  // CLONE_THREAD is the only way to a thread, and it makes one of the caller's: anything else is no event.
  if (event.child_pid != event.child_tgid) return;
  auto child = find(event.child_tgid);
  if (!child || child->scanned <= event.time) {
    child = add(event.child_tgid);
    if (!child) return;
    child->since = event.time;
    child->forked = true;
  }  // else the scan saw it, but not who forked it
  if (event.child) child->start_ticks = event.child->start_ticks;
  child->parent_tgid = event.tgid;
  child->parent = parent;
  if (parent) compare(*parent, event.parent);
  auto const original = event.copied_from != 0 ? find(event.copied_from) : parent;
  child->inherited = original ? image_of(*original) : nullptr;
}

void ExecTable::exec(ProcessEvent const &event) {
  ++counters_.execs;
  ExecRecord record;
  record.time = event.time;
  record.tgid = event.tgid;
  auto entry = find(event.tgid);
  if (!entry || (event.image && is_another(*entry, event.image->self))) entry = add(event.tgid);
  if (!entry) {  // untracked, and told all the same
    entry = std::make_shared<Entry>();
    entry->tgid = event.tgid;
  }
  record.exec_seq = ++entry->execs;
  entry->last_exec = event.time;
  entry->threaded = false;  // exec ends the others, and takes the leader's number
  if (event.image) {
    take_image(*entry, *event.image, record);
  } else {
    read_image(*entry, record);
  }
  if (entry->parent) compare(*entry->parent, event.parent);
  add_parent(*entry, record);
  if (!record.process) ++counters_.unknown;
  emit_(record);
}

void ExecTable::take_image(Entry &entry, KernelExec const &exec, ExecRecord &record) {
  entry.stale = entry.traced = false;
  entry.read = reader_.now();
  entry.start_ticks = exec.self.start_ticks;
  entry.image = std::make_shared<Process const>(reader_.recorded(exec));
  record.start_ticks = entry.start_ticks;
  record.process = entry.image;
}

// The number is another process's by now, and neither its end nor its beginning was told.
bool ExecTable::is_another(Entry const &entry, TaskState const &now) {
  return entry.start_ticks && *entry.start_ticks != now.start_ticks;
}

// What an event says of a process may be newer than what is known.
void ExecTable::compare(Entry &entry, std::optional<TaskState> const &now) {
  if (!now || entry.tgid != now->tgid || entry.ended || is_another(entry, *now)) return;
  entry.start_ticks = now->start_ticks;
  auto const image = image_of(entry);
  if (!image) return;
  auto const proven = image->executable && (image->executable->proven() || image->executable->proven_in_namespace);
  bool const same = static_cast<UserIds const &>(*image) == *now && !((now->traced || now->exe_changed) && proven);
  if (same) return;
  auto changed = *image;
  reader_.set_rights(changed, *now);
  entry.image = std::make_shared<Process const>(std::move(changed));
}

void ExecTable::read_image(Entry &entry, ExecRecord &record) {
  auto const before = std::exchange(entry.image, nullptr);
  auto const read_before = std::exchange(entry.read, reader_.now());
  entry.stale = entry.traced = false;
  auto described = reader_.describe(entry.tgid);
  auto const started =
      described ? std::optional(described->id.start_ticks) : [&]() -> std::optional<std::uint64_t> {
    auto const stat = reader_.stat(entry.tgid);  // a zombie still has one
    return stat ? std::optional(stat->start_ticks) : std::nullopt;
  }();
  if (started && began_as(entry, *started)) {
    entry.start_ticks = *started;
  } else if (described) {
    described = Refusal{Reason::process_gone, "the number is another process's by now"};
  }
  record.start_ticks = entry.start_ticks;
  if (!described) {
    record.unknown = described.error().detail;
    record.earlier_unseen = before && entry.execs > 1 && read_before >= record.time;
    return;
  }
  record.earlier_unseen = before && entry.execs > 1 && same_image(before->id.exec, described->id.exec);
  entry.image = std::make_shared<Process const>(std::move(*described));
  record.process = entry.image;
}

// False: who has the number now is not who had it then.
bool ExecTable::began_as(Entry const &entry, std::uint64_t start_ticks) const {
  if (entry.start_ticks) return *entry.start_ticks == start_ticks;
  if (!entry.forked) return true;  // nothing is known to the contrary
  auto const forked = reader_.ticks(entry.since);
  return start_ticks + kTicksBefore >= forked && start_ticks <= forked + kTicksAfter;
}

void ExecTable::add_parent(Entry &entry, ExecRecord &record) {
  if (!entry.parent && entry.parent_tgid == 0 && record.process) {
    // Nobody saw it forked. Who it says is its parent may have adopted it, but there is no other.
    entry.parent_tgid = record.process->parent_pid;
    entry.parent = find(entry.parent_tgid);
  }
  record.parent_tgid = entry.parent_tgid;
  if (!entry.parent) return;
  auto const now = image_of(*entry.parent);
  record.parent = now;
  auto const &then = entry.inherited;
  if (then && (!now || !same_image(now->id.exec, then->id.exec))) record.parent_at_fork = then;
}

ImagePtr ExecTable::image_of(Entry &entry) {
  if (entry.ended) return as_it_ended(entry);
  // One that exec'd and could not be read then is not what it was forked as.
  bool const unread = !entry.image && (!entry.inherited || entry.execs > 0);
  if (!entry.stale && !unread) return entry.image ? entry.image : entry.image = by_inheritance(entry);
  auto described = reader_.describe(entry.tgid);
  entry.image = nullptr;
  if (!described || !began_as(entry, described->id.start_ticks)) {
    entry.inherited = nullptr;
    return nullptr;
  }
  entry.stale = entry.traced = false;
  entry.start_ticks = described->id.start_ticks;
  entry.read = reader_.now();
  return entry.image = std::make_shared<Process const>(std::move(*described));
}

// Its credentials are those that were last read. That a tracer had it cannot be asked any more.
ImagePtr ExecTable::as_it_ended(Entry &entry) const {
  if (entry.image && entry.traced && entry.image->executable) {
    auto distrusted = *entry.image;
    distrust(distrusted, Unproven::traced);
    entry.image = std::make_shared<Process const>(std::move(distrusted));
    entry.traced = false;
  }
  return entry.image;
}

// What a fork is before it execs: its parent's image under its own number, of which only the start time has
// to be read. Reading all of it might show what it has exec'd meanwhile.
ImagePtr ExecTable::by_inheritance(Entry &entry) {
  if (!entry.start_ticks) {
    auto const stat = reader_.stat(entry.tgid);
    if (!stat || !began_as(entry, stat->start_ticks)) return nullptr;
    // Whose parent is not who forked it (CLONE_PARENT of clone(2)) is somebody else's copy, and no event said so.
    auto const &parents = entry.inherited->id.exec;
    if (stat->stack_start != parents.stack_start || stat->arg_start != parents.arg_start) return nullptr;
    entry.start_ticks = stat->start_ticks;
  }
  auto own = *entry.inherited;
  reader_.rename(own, entry.tgid, *entry.start_ticks);
  own.parent_pid = entry.parent_tgid;
  return std::make_shared<Process const>(std::move(own));
}

void ExecTable::exit(ProcessEvent const &event) {
  auto const entry = find(event.tgid);
  // One that was seen alive after this is another, or its leader gave its number to a thread that exec'd.
  if (!entry || event.time < entry->scanned || event.time < entry->last_exec) return;
  bool const leaderless = std::find(leaderless_.begin(), leaderless_.end(), event.tgid) != leaderless_.end();
  if (event.pid != event.tgid && !leaderless) return;
  if (entry->threaded && has_threads_left(event.tgid)) {
    if (!leaderless) leaderless_.push_back(event.tgid);
    return;
  }
  end(*entry, event.time);
  processes_.erase(event.tgid);
}

bool ExecTable::has_threads_left(pid_t tgid) const {
  auto const stat = reader_.stat(tgid);
  return stat && (stat->threads > 1 || (stat->state != 'Z' && stat->state != 'X'));
}

void ExecTable::end(Entry &entry, MonotonicTime when) {
  entry.ended = true;  // its children may still ask what it was
  entry.parent = nullptr;
  std::erase(leaderless_, entry.tgid);
  if (entry.execs > 0 && entry.start_ticks) emit_(ExitRecord{when, entry.tgid, *entry.start_ticks});
}

void ExecTable::sweep() {
  for (auto const tgid : std::vector(leaderless_)) {
    auto const entry = find(tgid);
    if (entry && has_threads_left(tgid)) continue;
    std::erase(leaderless_, tgid);
    if (!entry) continue;
    end(*entry, reader_.now());
    processes_.erase(tgid);
  }
}

void ExecTable::scan() {
  needs_scan_ = false;
  std::unordered_map<pid_t, EntryPtr> there;
  std::vector<EntryPtr> unparented;
  for (auto const tgid : reader_.everyone()) {
    auto entry = look_at(tgid);
    if (!entry) continue;
    there.emplace(tgid, entry);
    if (entry->image && entry->parent_tgid == 0) unparented.push_back(std::move(entry));
  }
  for (auto entry = processes_.begin(); entry != processes_.end();) {
    if (there.contains(entry->first)) {
      ++entry;
      continue;
    }
    end(*entry->second, reader_.now());
    entry = processes_.erase(entry);
  }
  for (auto const &entry : unparented) {
    entry->parent_tgid = entry->image->parent_pid;
    entry->parent = find(entry->parent_tgid);
  }
  // When all are there, so that each has its parent. At first everyone is new, and nobody has changed.
  for (auto const &[tgid, entry] : there) {
    if (std::exchange(entry->found_changed, false) && scanned_) tell_changed(*entry, reader_.now());
  }
  scanned_ = true;
}

// The process that has the number now, as it is if it is not known or has changed. nullptr: none, or the
// limit.
ExecTable::EntryPtr ExecTable::look_at(pid_t tgid) {
  auto const when = reader_.now();
  auto const stat = reader_.stat(tgid);
  if (!stat) return nullptr;
  auto entry = find(tgid);
  if (!entry || !began_as(*entry, stat->start_ticks)) {
    entry = add(tgid);
    if (!entry) return nullptr;
    entry->since = when;
  }
  entry->start_ticks = stat->start_ticks;
  entry->scanned = when;
  entry->threaded = entry->threaded || stat->threads > 1;
  auto const &known = entry->image ? entry->image : entry->inherited;
  bool const unchanged = known && !entry->stale && known->id.exec.stack_start == stat->stack_start &&
                         known->id.exec.arg_start == stat->arg_start;
  if (unchanged || stat->state == 'Z') return entry;
  auto described = reader_.describe(tgid);
  if (!described || !began_as(*entry, described->id.start_ticks)) return entry;
  bool const exec_missed = !known || !same_image(known->id.exec, described->id.exec);
  entry->image = std::make_shared<Process const>(std::move(*described));
  entry->read = when;
  entry->stale = false;
  entry->found_changed = exec_missed;
  return entry;
}

void ExecTable::tell_changed(Entry &entry, MonotonicTime when) {
  if (!entry.image || !entry.image->executable) return;  // a kernel thread
  auto const parent = entry.parent ? entry.parent->image : nullptr;
  if (entry.execs == 0 && parent && same_image(parent->id.exec, entry.image->id.exec)) return;  // a fork
  ExecRecord record;
  record.time = when;
  record.tgid = entry.tgid;
  record.exec_seq = ++entry.execs;
  record.start_ticks = entry.start_ticks;
  record.process = entry.image;
  record.found_later = true;
  entry.last_exec = entry.scanned;
  add_parent(entry, record);
  emit_(record);
}

}  // namespace imdsgate
