// One entry of `allow` or `deny`, and whether it is about what is asked for. Who asks is SocketHolder's
// business.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/readings.hpp"
#include "model/address.hpp"
#include "model/decision.hpp"
#include "model/place.hpp"
#include "rules/eql.hpp"

namespace imdsgate {

enum class EntryKind { allow, deny };

// What an entry says of one parameter of the query.
struct QueryCondition {
  std::string key;
  std::vector<std::string> values;  // any of these, `*` for any run; empty: the key must not be there
};

// A guarded address that an entry is for.
struct EntryEndpoint {
  Address address;
  std::optional<std::uint16_t> port;  // nullopt: every port of it
  bool covers(Endpoint const &endpoint) const;
  std::string to_string() const;  // the address, with its port if it has one
};

struct PolicyEntry {
  std::string name;
  // allow: over the proven view; deny: over View::denial. Absent: everyone who could be named; deny:
  // everyone.
  std::optional<eql::Query> when;
  std::string when_text;                 // as written, for people and for `check --show`
  std::vector<std::string> methods;      // empty: every method
  std::vector<std::string> paths;        // as normalise_pattern() returns them; empty: every path
  std::vector<QueryCondition> query;     // all of them
  std::vector<EntryEndpoint> endpoints;  // empty: every one
  bool allow_imdsv1 = false;
  bool allow_foreign_token = false;
  bool names_container = false;  // `when` narrows it to a container or a cgroup
  std::optional<std::chrono::system_clock::time_point> expires;
  std::string note;     // for people
  std::string profile;  // whose entry it is; empty: the operator's own
  Place place;          // in the file it was read from
};

// What is asked, as the entries look at it. Refers to the access, which outlives it.
struct AccessReadings {
  explicit AccessReadings(AccessRequest const &asked)
      : access(asked), readings(imdsgate::readings(split_target(asked.request.target))) {}
  AccessRequest const &access;
  std::vector<Reading> readings;  // of the target, the plain one first
};

// Is the entry about this request? Methods, paths, query conditions, endpoint and time. For `allow` exactly
// as written, and in every reading of the query. For `deny` as any service may read them, in one reading of
// path and query together: Azure's takes paths and parameters in any case, whose service it is may not be
// known, and a denial must not be a matter of spelling.
//
// A read of everything beneath a path (MetadataRequest::recursive) is not a read of the path: an allow entry
// gives it with the whole subtree, or with a query condition that names the parameter.
//
// A query condition of an allow entry holds when the key is there and every one of its values fits, what a
// service may take for the key (is_word) counted in; of a deny entry, when one value fits.
bool concerns(PolicyEntry const &entry, AccessReadings const &asked, EntryKind kind);

}  // namespace imdsgate
