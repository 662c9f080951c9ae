#include "attribute/lineage_cache.hpp"

namespace imdsgate {

LineagePtr LineageCache::remember(Suspect const &suspect, Lineage lineage, Clock::time_point now) {
  auto const pid = suspect.holder.id.tgid;
  proven_.apply(lineage.process);
  if (lineage.parent) proven_.apply(*lineage.parent);
  auto shared = std::make_shared<Lineage const>(std::move(lineage));
  recent_.remember(pid, suspect, shared, now);
  return shared;
}

}  // namespace imdsgate
