#include "decide/suspect.hpp"

#include <algorithm>

namespace imdsgate {
namespace {

// Outside every container and every unit is something a grant may ask for: there the absence is the fact,
// once the cgroup itself is known.
bool absence_is_known(std::string_view field, eql::Event const &event) {
  return (field == "container.id" || field == "imdsgate.unit") && event.find("imdsgate.cgroup") != nullptr;
}

bool is_proven(std::string_view field, eql::Event const &event) {
  auto const *values = event.find(field);
  if (values == nullptr) return absence_is_known(field, event);
  return !values->proven.empty();
}
}  // namespace

eql::Event const &Suspect::as(Presented what) {
  auto &event = events_[static_cast<std::size_t>(what)];
  if (!event) event = event_of(*lineage_, *access_, what);
  return *event;
}

bool Suspect::matches(Rule const &rule) {
  auto const &category = rule.query.category;
  auto const match = [&](Presented what, std::string_view its) {
    return (category == "any" || category == its) &&
           eql::matches(rule.query, as(what), eql::View::by_polarity);
  };
  return (rule.live_exec && match(Presented::exec, "process")) || match(Presented::connection, "network") ||
         match(Presented::request, "web");
}

bool Suspect::is_vouched_for(PolicyEntry const &entry) {
  if (!entry.when) return true;
  auto const &event = as(Presented::request);
  auto const proven = [&](std::string const &field) { return is_proven(field, event); };
  return std::ranges::all_of(entry.when->fields, proven) &&
         eql::matches(*entry.when, event, eql::View::proven);
}

bool Suspect::is_accused(PolicyEntry const &entry) {
  return !entry.when || eql::matches(*entry.when, as(Presented::request), eql::View::by_polarity);
}

}  // namespace imdsgate
