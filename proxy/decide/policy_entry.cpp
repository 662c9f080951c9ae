#include "decide/policy_entry.hpp"

#include <algorithm>

#include "decide/ascii_case.hpp"
#include "decide/entry_cover.hpp"
#include "decide/path_pattern.hpp"

namespace imdsgate {
namespace {

bool one_fits(QueryCondition const &condition, std::string_view value, bool fold) {
  return std::ranges::any_of(
      condition.values, [&](std::string const &pattern) { return segment_matches(pattern, value, fold); });
}

// As it is, and as a service may read it that passes over or cuts off what is_word() does.
bool one_may_fit(QueryCondition const &condition, std::string_view value) {
  return one_fits(condition, value, true) || one_fits(condition, plain_word(value), true) ||
         one_fits(condition, plain_word(cut_word(value)), true);
}

bool grants(QueryCondition const &condition, QueryParameters const &query) {
  bool there = false;
  for (auto const &[key, value] : query) {
    if (!is_word(key, condition.key)) continue;
    if (!one_fits(condition, value, false)) return false;
    there = there || key == condition.key;
  }
  return there || condition.values.empty();
}

bool denies(QueryCondition const &condition, QueryParameters const &query) {
  auto const is_there = [&](auto const &parameter) { return parameter.first == condition.key; };
  if (condition.values.empty()) return std::ranges::none_of(query, is_there);
  return std::ranges::any_of(query, [&](auto const &parameter) {
    return is_word(parameter.first, condition.key) && one_may_fit(condition, parameter.second);
  });
}

bool has_path(PolicyEntry const &entry, std::string_view path, bool fold) {
  return entry.paths.empty() || std::ranges::any_of(entry.paths, [&](std::string const &pattern) {
           return path_matches(pattern, path, fold);
         });
}

// What is beneath the path is given, too, or asked for by a parameter that the entry names.
bool gives_recursive_read(PolicyEntry const &entry, MetadataRequest const &request) {
  if (!request.recursive || entry.paths.empty()) return true;
  if (std::ranges::find(entry.query, *request.recursive, &QueryCondition::key) != entry.query.end())
    return true;
  auto const subtree = subtree_of(request.path);
  return std::ranges::any_of(entry.paths,
                             [&](std::string const &each) { return pattern_covers(each, subtree); });
}

// A query that can be read otherwise grants only what all readings grant.
bool target_granted(PolicyEntry const &entry, AccessReadings const &asked) {
  auto const &request = asked.access.request;
  return has_path(entry, request.path, false) && gives_recursive_read(entry, request) &&
         std::ranges::all_of(asked.readings, [&](Reading const &reading) {
           return std::ranges::all_of(entry.query,
                                      [&](auto const &each) { return grants(each, reading.query); });
         });
}

bool target_denied(PolicyEntry const &entry, AccessReadings const &asked) {
  return std::ranges::any_of(asked.readings, [&](Reading const &reading) {
    return has_path(entry, reading.path, true) &&
           std::ranges::all_of(entry.query, [&](auto const &each) { return denies(each, reading.query); });
  });
}
}  // namespace

bool EntryEndpoint::covers(Endpoint const &endpoint) const {
  return address == endpoint.address && port.value_or(endpoint.port) == endpoint.port;
}

std::string EntryEndpoint::to_string() const {
  return port ? Endpoint{address, *port}.to_string() : address.to_string();
}

bool concerns(PolicyEntry const &entry, AccessReadings const &asked, EntryKind kind) {
  auto const &access = asked.access;
  auto const &request = access.request;
  bool const denial = kind == EntryKind::deny;
  auto const method = [&](std::string const &each) {
    return denial ? equal_folded(each, request.method) : each == request.method;
  };
  auto const endpoint = [&](EntryEndpoint const &each) { return each.covers(request.endpoint); };
  return (!entry.expires || access.now < *entry.expires) &&
         (entry.methods.empty() || std::ranges::any_of(entry.methods, method)) &&
         (entry.endpoints.empty() || std::ranges::any_of(entry.endpoints, endpoint)) &&
         (denial ? target_denied(entry, asked) : target_granted(entry, asked));
}

}  // namespace imdsgate
