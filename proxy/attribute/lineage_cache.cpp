#include "attribute/lineage_cache.hpp"

namespace imdsgate {
namespace {

void keep_proven(std::optional<Executable> const &before, ProcessId const &before_id, Process &now) {
  bool const replaced = now.executable && now.executable->unproven == Unproven::exe_replaced;
  if (!replaced || before_id != now.id || !before || !before->proven()) return;
  now.executable = before;
  now.executable->deleted = true;
}

}  // namespace

LineagePtr LineageCache::find(Suspect const &suspect, Clock::time_point now) {
  auto const known = by_pid_.find(suspect.holder.id.tgid);
  if (known == by_pid_.end()) return nullptr;
  auto const entry = known->second;
  if (entry->suspect != suspect || now - entry->described > lifetime_) return nullptr;
  recent_.splice(recent_.begin(), recent_, entry);
  return entry->lineage;
}

LineagePtr LineageCache::remember(Suspect const &suspect, Lineage lineage, Clock::time_point now) {
  auto const pid = suspect.holder.id.tgid;
  if (auto const known = by_pid_.find(pid); known != by_pid_.end()) {
    auto const &before = *known->second->lineage;
    keep_proven(before.process.executable, before.process.id, lineage.process);
    if (before.parent && lineage.parent)
      keep_proven(before.parent->executable, before.parent->id, *lineage.parent);
    recent_.erase(known->second);
    by_pid_.erase(known);
  } else if (recent_.size() >= limit_) {
    by_pid_.erase(recent_.back().suspect.holder.id.tgid);
    recent_.pop_back();
  }
  auto shared = std::make_shared<Lineage const>(std::move(lineage));
  recent_.push_front({suspect, shared, now});
  by_pid_[pid] = recent_.begin();
  return shared;
}

}  // namespace imdsgate
