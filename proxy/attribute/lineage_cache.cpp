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

LineagePtr LineageCache::remember(Suspect const &suspect, Lineage lineage, Clock::time_point now) {
  auto const pid = suspect.holder.id.tgid;
  if (auto const before = recent_.last(pid)) {
    keep_proven(before->process.executable, before->process.id, lineage.process);
    if (before->parent && lineage.parent)
      keep_proven(before->parent->executable, before->parent->id, *lineage.parent);
  }
  auto shared = std::make_shared<Lineage const>(std::move(lineage));
  recent_.remember(pid, suspect, shared, now);
  return shared;
}

}  // namespace imdsgate
