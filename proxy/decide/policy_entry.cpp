#include "decide/policy_entry.hpp"

#include <algorithm>

#include "decide/ascii_case.hpp"
#include "decide/path_pattern.hpp"
#include "decide/readings.hpp"

namespace imdsgate {
namespace {

bool one_fits(QueryCondition const &condition, std::string_view value, bool fold) {
  return std::ranges::any_of(
      condition.values, [&](std::string const &pattern) { return segment_matches(pattern, value, fold); });
}

bool grants(QueryCondition const &condition, QueryParameters const &query) {
  bool there = false;
  for (auto const &[key, value] : query) {
    if (!equal_folded(key, condition.key)) continue;
    if (!one_fits(condition, value, false)) return false;
    there = there || key == condition.key;
  }
  return there || condition.values.empty();
}

bool denies(QueryCondition const &condition, QueryParameters const &query) {
  auto const is_there = [&](auto const &parameter) { return parameter.first == condition.key; };
  if (condition.values.empty()) return std::ranges::none_of(query, is_there);
  return std::ranges::any_of(query, [&](auto const &parameter) {
    return equal_folded(parameter.first, condition.key) && one_fits(condition, parameter.second, true);
  });
}

// A query that can be read otherwise grants only what all readings grant, and is denied by one.
bool query_holds(PolicyEntry const &entry, MetadataRequest const &request, EntryKind kind) {
  if (entry.query.empty()) return true;
  auto const all = readings(split_target(request.target));
  if (kind == EntryKind::deny) {
    return std::ranges::any_of(all, [&](Reading const &reading) {
      return std::ranges::all_of(entry.query, [&](auto const &each) { return denies(each, reading.query); });
    });
  }
  return std::ranges::all_of(all, [&](Reading const &reading) {
    return std::ranges::all_of(entry.query, [&](auto const &each) { return grants(each, reading.query); });
  });
}
}  // namespace

bool EntryEndpoint::covers(Endpoint const &endpoint) const {
  return address == endpoint.address && port.value_or(endpoint.port) == endpoint.port;
}

bool EntryEndpoint::covers(std::string_view endpoint) const {
  auto const text = Endpoint{address, port.value_or(0)}.to_string();
  auto const host = [](std::string_view of) { return of.substr(0, of.rfind(':')); };
  return port ? endpoint == text : host(endpoint) == host(text);
}

std::string EntryEndpoint::to_string() const {
  return port ? Endpoint{address, *port}.to_string() : address.to_string();
}

bool concerns(PolicyEntry const &entry, AccessRequest const &access, EntryKind kind) {
  auto const &request = access.request;
  bool const denial = kind == EntryKind::deny;
  bool const fold =
      denial && (request.provider == Provider::azure || request.provider == Provider::wireserver);
  auto const method = [&](std::string const &each) {
    return denial ? equal_folded(each, request.method) : each == request.method;
  };
  auto const path = [&](std::string const &each) { return path_matches(each, request.path, fold); };
  auto const endpoint = [&](EntryEndpoint const &each) { return each.covers(access.endpoint); };
  return (!entry.expires || access.now < *entry.expires) &&
         (entry.methods.empty() || std::ranges::any_of(entry.methods, method)) &&
         (entry.paths.empty() || std::ranges::any_of(entry.paths, path)) &&
         (entry.endpoints.empty() || std::ranges::any_of(entry.endpoints, endpoint)) &&
         query_holds(entry, request, kind);
}

}  // namespace imdsgate
