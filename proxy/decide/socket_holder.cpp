#include "decide/socket_holder.hpp"

#include <algorithm>

namespace imdsgate {
namespace {

Circumstances circumstances_of(AccessRequest const &access) {
  bool const unix_listener =
      access.attribution != nullptr && access.attribution->method == Attribution::Method::peercred;
  return {access.endpoint, access.host, &access.request, !unix_listener};
}

}  // namespace

eql::Event const &SocketHolder::as(Presented what) {
  auto &event = events_[static_cast<std::size_t>(what)];
  if (!event) event = event_of(*lineage_, circumstances_of(*access_), what);
  return *event;
}

eql::Event const &SocketHolder::in_its_namespace() {
  auto const proven_there = [](Process const &process) {
    return process.executable && process.executable->proven_in_namespace;
  };
  bool const differs =
      proven_there(lineage_->process) || (lineage_->parent && proven_there(*lineage_->parent));
  if (!differs) return as(Presented::request);
  auto &event = in_its_namespace_;
  if (!event) {
    event = event_of(*lineage_, circumstances_of(*access_), Presented::request, SeenFrom::its_namespace);
  }
  return *event;
}

bool SocketHolder::matches(Rule const &rule) {
  auto const *query = std::get_if<eql::Query>(&rule.query);
  if (!query) return false;
  auto const match = [&](Presented what, std::string_view its) {
    return (!query->category || query->category == its) &&
           eql::matches(*query, as(what), eql::View::by_polarity);
  };
  return (rule.live_exec && match(Presented::exec, "process")) || match(Presented::connection, "network") ||
         match(Presented::request, "web");
}

bool SocketHolder::is_vouched_for(PolicyEntry const &entry) {
  if (!entry.when) return true;
  return eql::matches(*entry.when, entry.names_container ? in_its_namespace() : as(Presented::request),
                      eql::View::proven);
}

bool SocketHolder::is_accused(PolicyEntry const &entry) {
  return !entry.when || eql::matches(*entry.when, as(Presented::request), eql::View::denial);
}

bool SocketHolder::runs_one_of(std::vector<std::string> const &executables) {
  if (executables.empty()) return false;
  auto const *values = as(Presented::request).find("process.executable");
  return values != nullptr && std::ranges::any_of(values->proven, [&](std::string const &each) {
           return std::ranges::find(executables, each) != executables.end();
         });
}

}  // namespace imdsgate
