#include "attribute/bpf_lineages.hpp"

#include <tuple>

namespace imdsgate {
namespace {

auto key(bpf_task const &task) {
  return std::tie(task.tgid, task.start_boottime, task.exec_id, task.mm, task.unusual, task.real_uid,
                  task.effective_uid, task.saved_uid, task.real_gid, task.effective_gid, task.saved_gid);
}

}  // namespace

bool same_task(bpf_task const &before, bpf_task const &now) {
  return key(before) == key(now);
}

LineagePtr BpfLineages::find(bpf_connection const &connection, Clock::time_point now) {
  auto const known = by_pid_.find(connection.connector.tgid);
  if (known == by_pid_.end()) return nullptr;
  auto const entry = known->second;
  bool const same = same_task(entry->connector, connection.connector) &&
                    same_task(entry->parent, connection.parent) && entry->cgroup == connection.cgroup;
  if (!same || now - entry->described > lifetime_) return nullptr;
  recent_.splice(recent_.begin(), recent_, entry);
  return entry->lineage;
}

void BpfLineages::remember(bpf_connection const &connection, LineagePtr lineage, Clock::time_point now) {
  auto const pid = connection.connector.tgid;
  if (auto const known = by_pid_.find(pid); known != by_pid_.end()) {
    recent_.erase(known->second);
    by_pid_.erase(known);
  } else if (recent_.size() >= limit_) {
    by_pid_.erase(recent_.back().connector.tgid);
    recent_.pop_back();
  }
  recent_.push_front({connection.connector, connection.parent, connection.cgroup, std::move(lineage), now});
  by_pid_[pid] = recent_.begin();
}

}  // namespace imdsgate
