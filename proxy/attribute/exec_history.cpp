#include "attribute/exec_history.hpp"

#include <algorithm>
#include <utility>

namespace imdsgate {
namespace {

constexpr std::size_t kMaxSpans = 256;
constexpr std::size_t kMaxUnknown = 16384;
constexpr auto kDisorder = std::chrono::seconds(1);

template <class Span>
bool meets(Span const &span, MonotonicTime from, MonotonicTime to) {
  return span.from <= to && span.to >= from;
}

}  // namespace

void ExecHistory::add(ExecRecordPtr record) {
  ++counters_.execs;
  if (!record->process) {
    ++counters_.unknown;
    note_unknown(*record, record->time, record->time);
  }
  if (record->earlier_unseen) {
    ++counters_.unknown;
    auto const earlier = record->start_ticks ? find(record->tgid, *record->start_ticks) : nullptr;
    note_unknown(*record, earlier ? earlier->time : record->time, record->time);
  }
  remember(record);
  recent_.push_back(std::move(record));
  if (recent_.size() <= options_.recent) return;
  ++counters_.dropped_recent;
  auto const time = recent_.front()->time;
  add(forgotten_, time, time);
  dropped_until_ = std::max(time, dropped_until_.value_or(time));
  recent_.pop_front();
}

void ExecHistory::remember(ExecRecordPtr const &record) {
  if (!record->start_ticks) return;
  Key const key{record->tgid, *record->start_ticks};
  if (!processes_.contains(key) && processes_.size() >= options_.processes) {
    if (!tombstones_.empty()) {
      if (auto const last = bury(tombstones_.front())) {
        ++counters_.buried_early;
        add(forgotten_, *last, *last);
      }
      tombstones_.pop_front();
    }
    if (processes_.size() >= options_.processes) {
      ++counters_.refused_processes;
      return add(forgotten_, record->time, record->time);
    }
  }
  processes_[key] = {record, false};
}

void ExecHistory::note_unknown(ExecRecord const &record, MonotonicTime from, MonotonicTime to) {
  auto const &parent = record.parent ? record.parent : record.parent_at_fork;
  unknown_.push_back(
      {{from, to}, record.parent_tgid, parent ? std::optional(parent->id.start_ticks) : std::nullopt});
  if (unknown_.size() <= kMaxUnknown) return;
  auto const &oldest = unknown_.front();
  lost(oldest.span.from, oldest.span.to);
  unknown_.pop_front();
}

void ExecHistory::ended(ExitRecord const &exit) {
  Key const key{exit.tgid, exit.start_ticks};
  auto const known = processes_.find(key);
  if (known == processes_.end() || known->second.ended) return;
  known->second.ended = true;
  tombstones_.push_back({exit.time, key});
}

// One that exec'd after it was said to have ended is alive.
std::optional<MonotonicTime> ExecHistory::bury(Tombstone const &tombstone) {
  auto const known = processes_.find(tombstone.key);
  if (known == processes_.end() || !known->second.ended) return std::nullopt;
  auto const last = known->second.last->time;
  processes_.erase(known);
  return last;
}

void ExecHistory::lost(MonotonicTime from, MonotonicTime to) {
  add(lost_, from, to);
}

void ExecHistory::add(Spans &spans, MonotonicTime from, MonotonicTime to) {
  if (!spans.empty() && meets(spans.back(), from, to)) {
    spans.back() = {std::min(from, spans.back().from), std::max(to, spans.back().to)};
    return;
  }
  spans.push_back({from, to});
  if (spans.size() <= kMaxSpans) return;
  // Fewer and longer: more is unknown than need be, and nothing is taken for known.
  auto const first = spans.front();
  spans.pop_front();
  auto &second = spans.front();
  second = {std::min(first.from, second.from), std::max(first.to, second.to)};
}

void ExecHistory::expire(MonotonicTime now) {
  auto const before = now - options_.retain;
  while (!recent_.empty() && recent_.front()->time < before) recent_.pop_front();
  while (!tombstones_.empty() && tombstones_.front().when < before) {
    bury(tombstones_.front());
    tombstones_.pop_front();
  }
  // Not in the order of their ends.
  for (Spans *spans : {&lost_, &forgotten_}) {
    std::erase_if(*spans, [&](Span const &span) { return span.to < before; });
  }
  while (!unknown_.empty() && unknown_.front().span.to < before) unknown_.pop_front();
}

ExecRecordPtr ExecHistory::find(pid_t tgid, std::uint64_t start_ticks) const {
  auto const known = processes_.find({tgid, start_ticks});
  return known == processes_.end() ? nullptr : known->second.last;
}

ExecRecordPtr ExecHistory::find(pid_t tgid, std::uint64_t start_ticks, MonotonicTime by) const {
  auto const last = find(tgid, start_ticks);
  if (!last || last->time <= by) return last;
  auto const earlier = std::find_if(recent_.rbegin(), recent_.rend(), [&](ExecRecordPtr const &record) {
    return record->tgid == tgid && record->start_ticks == start_ticks && record->time <= by;
  });
  return earlier == recent_.rend() ? nullptr : *earlier;
}

bool ExecHistory::unknown_since(MonotonicTime from, MonotonicTime to) const {
  return lost_since(from, to) ||
         std::ranges::any_of(forgotten_, [&](Span const &span) { return meets(span, from, to); });
}

bool ExecHistory::lost_since(MonotonicTime from, MonotonicTime to) const {
  return std::ranges::any_of(lost_, [&](Span const &span) { return meets(span, from, to); });
}

bool ExecHistory::unknown_under(pid_t parent_tgid, std::uint64_t parent_start_ticks, MonotonicTime from,
                                MonotonicTime to) const {
  // The newest first: they are in the order of their ends but for what the kernel's events are out of order
  // by, and this is asked for each connection.
  for (auto unknown = unknown_.rbegin(); unknown != unknown_.rend(); ++unknown) {
    if (unknown->span.to < from - kDisorder) return false;
    if (unknown->parent_tgid == parent_tgid &&
        unknown->parent_start_ticks.value_or(parent_start_ticks) == parent_start_ticks &&
        meets(unknown->span, from, to)) {
      return true;
    }
  }
  return false;
}

}  // namespace imdsgate
