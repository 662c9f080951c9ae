#include "decide/suspect.hpp"

namespace imdsgate {
eql::Event const &Suspect::as(Presented what) {
  auto &event = events_[static_cast<std::size_t>(what)];
  if (!event) event = event_of(*lineage_, *access_, what);
  return *event;
}

bool Suspect::matches(Rule const &rule) {
  auto const *query = std::get_if<eql::Query>(&rule.query);
  if (!query) return false;
  auto const match = [&](Presented what, std::string_view its) {
    return (query->category == "any" || query->category == its) &&
           eql::matches(*query, as(what), eql::View::by_polarity);
  };
  return (rule.live_exec && match(Presented::exec, "process")) || match(Presented::connection, "network") ||
         match(Presented::request, "web");
}

bool Suspect::is_vouched_for(PolicyEntry const &entry) {
  return !entry.when || eql::matches(*entry.when, as(Presented::request), eql::View::proven);
}

bool Suspect::is_accused(PolicyEntry const &entry) {
  return !entry.when || eql::matches(*entry.when, as(Presented::request), eql::View::denial);
}

}  // namespace imdsgate
