#include "attribute/process_cache.hpp"

namespace imdsgate {

ProcessCache::Entry *ProcessCache::get(pid_t tgid) {
  if (auto const known = by_pid_.find(tgid); known != by_pid_.end()) {
    if (known->second->entry.dir.unchanged() ||
        known->second->entry.dir.alive()) {  // otherwise its number may have been given away

      recent_.splice(recent_.begin(), recent_, known->second);
      known->second->entry.fresh = false;
      return &known->second->entry;
    }
    forget(tgid);
  }
  auto dir = ProcDir::open(tgid);
  if (!dir) return nullptr;
  if (recent_.size() >= limit_) forget(recent_.back().tgid);
  recent_.push_front({tgid, {std::move(*dir), true, {}}});
  by_pid_.emplace(tgid, recent_.begin());
  return &recent_.front().entry;
}

ProcessCache::Entry *ProcessCache::known(pid_t tgid) {
  auto const found = by_pid_.find(tgid);
  if (found == by_pid_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  found->second->entry.fresh = false;
  return &found->second->entry;
}

void ProcessCache::forget(pid_t tgid) {
  auto const known = by_pid_.find(tgid);
  if (known == by_pid_.end()) return;
  recent_.erase(known->second);
  by_pid_.erase(known);
}

}  // namespace imdsgate
