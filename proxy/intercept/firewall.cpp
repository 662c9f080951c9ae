#include "intercept/firewall.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "intercept/firewall_family.hpp"
#include "intercept/nft_table.hpp"
#include "model/embedded.hpp"

namespace imdsgate {
namespace {

constexpr bool kFamilies[] = {false, true};
constexpr FirewallBackend kBackends[] = {FirewallBackend::nft, FirewallBackend::legacy};

Result<FirewallBackend> backend_of(FirewallSpec const &spec) {
  if (spec.backend) return *spec.backend;
  return default_backend();
}

FirewallBackend other(FirewallBackend backend) {
  return backend == FirewallBackend::nft ? FirewallBackend::legacy : FirewallBackend::nft;
}

bool has_endpoint(FirewallSpec const &spec, bool ipv6) {
  return std::ranges::any_of(spec.endpoints,
                             [&](Endpoint const &endpoint) { return endpoint.address.is_v4() != ipv6; });
}

// The family's tables in a backend that may not be there: nullopt when it is not, and so holds nothing of
// ours.
Result<std::optional<FirewallFamily>> open_if_there(FirewallBackend backend, bool ipv6) {
  if (ipv6 && !has_ipv6()) return std::optional<FirewallFamily>();
  auto xtables = Xtables::open(backend, ipv6);
  if (!xtables) return std::optional<FirewallFamily>();
  if (backend == FirewallBackend::nft) {
    auto const available = nf_tables_available();
    if (!available) {
      auto const missing = missing_capability(backend);
      return missing ? Error{Errc::system, *missing} : available.error();
    }
    if (!*available) return std::optional<FirewallFamily>();
  }
  return std::optional(FirewallFamily(std::move(*xtables), false));
}

// As above, for the backend that is to be used: a family that cannot be had is an error, or a note.
Result<std::optional<FirewallFamily>> open_wanted(FirewallSpec const &spec, FirewallBackend backend,
                                                  bool ipv6, std::vector<std::string> &notes) {
  if (ipv6 && !has_ipv6()) {
    if (has_endpoint(spec, true)) notes.push_back("IPv6 is left out: this host has none");
    return std::optional<FirewallFamily>();
  }
  auto xtables = Xtables::open(backend, ipv6);
  if (xtables) return std::optional(FirewallFamily(std::move(*xtables), true));
  if (!ipv6) return xtables.error();
  if (!has_endpoint(spec, true)) return std::optional<FirewallFamily>();
  if (spec.fence)
    return Error{Errc::not_found, xtables.error().detail + ", and enforce would leave IPv6 open"};
  notes.push_back("IPv6 is left out: " + xtables.error().detail);
  return std::optional<FirewallFamily>();
}

Result<std::vector<OwnTable>> wanted_of(FirewallSpec const &spec, bool ipv6) {
  std::string const name = ipv6 ? "iptables/ipv6.rules" : "iptables/ipv4.rules";
  auto const data = embedded(name);
  if (!data) return Error{Errc::not_found, name + " is not in this binary"};
  return render_ruleset(spec, ipv6, *data);
}

std::vector<OwnTable> nothing() {
  std::vector<OwnTable> tables;
  for (auto const table : kOwnTables) tables.push_back({std::string(table), {}, {}, {}});
  return tables;
}

// Takes our part out of one backend; the first error is told after both families were tried.
Result<void> remove_backend(FirewallBackend backend) {
  Result<void> first = boost::system::in_place_value;
  for (bool const ipv6 : kFamilies) {
    auto family = open_if_there(backend, ipv6);
    Result<void> removed = boost::system::in_place_value;
    if (!family) {
      removed = family.error();
    } else if (*family) {
      removed = (*family)->become(nothing());
    }
    if (!removed && first) first = removed;
  }
  return first;
}

FirewallStatus::Family describe(FirewallBackend backend, bool ipv6, std::vector<OwnTable> const &present,
                                std::vector<OwnTable> const &wanted) {
  FirewallStatus::Family family;
  family.ipv6 = ipv6;
  family.backend = backend;
  for (auto const &table : present) {
    bool const reached = !table.references.empty() && !table.rules.empty();
    if (table.table == "nat") family.redirect = reached;
    if (table.table == "filter") family.fence = reached;
    auto const asked = std::ranges::find(wanted, table.table, &OwnTable::table);
    if (asked == wanted.end()) continue;
    std::ranges::copy(differences(table, *asked), std::back_inserter(family.differences));
  }
  return family;
}

// What the backend that is not used holds of ours, left there before the host's `iptables` was switched.
void add_leftovers(FirewallBackend backend, bool ipv6, std::vector<std::string> &differences,
                   std::vector<std::string> &notes) {
  auto const family = open_if_there(backend, ipv6);
  if (family && !*family) return;
  auto const left = family ? (*family)->present() : family.error();
  if (!left) {
    notes.push_back("the other backend cannot be looked at: " + left.error().detail);
    return;
  }
  for (auto const &table : *left) {
    if (table.empty()) continue;
    differences.push_back((*family)->name() + ' ' + table.table + " holds chains of the gateway, too");
  }
}

}  // namespace

Result<void> apply_firewall(FirewallSpec const &spec) {
  std::vector<std::string> notes;
  return apply_firewall(spec, notes);
}

Result<void> apply_firewall(FirewallSpec const &spec, std::vector<std::string> &notes) {
  auto const backend = backend_of(spec);
  if (!backend) return backend.error();
  std::array<std::optional<FirewallFamily>, 2> families;
  std::array<std::vector<OwnTable>, 2> wanted;
  for (bool const ipv6 : kFamilies) {
    auto family = open_wanted(spec, *backend, ipv6, notes);
    if (!family) return family.error();
    auto rendered = wanted_of(spec, ipv6);
    if (!rendered) return rendered.error();
    families[ipv6] = std::move(*family);
    wanted[ipv6] = std::move(*rendered);
  }
  for (bool const ipv6 : kFamilies) {
    if (!families[ipv6]) continue;
    auto done = families[ipv6]->become(wanted[ipv6]);
    if (done) continue;
    if (!ipv6 || !families[0]) return done;
    auto const back = families[0]->put_back();
    if (back) return done;
    return Error{done.error().code,
                 done.error().detail + "; and putting IPv4 back failed: " + back.error().detail};
  }
  if (auto removed = remove_backend(other(*backend)); !removed) {
    notes.push_back("the other backend may still hold chains of the gateway: " + removed.error().detail);
  }
  return {};
}

Result<void> remove_firewall() {
  Result<void> first = boost::system::in_place_value;
  for (auto const backend : kBackends) {
    auto removed = remove_backend(backend);
    if (!removed && first) first = removed;
  }
  return first;
}

Result<FirewallStatus> firewall_status(FirewallSpec const &spec) {
  auto const backend = backend_of(spec);
  if (!backend) return backend.error();
  FirewallStatus status;
  for (bool const ipv6 : kFamilies) {
    auto const wanted = wanted_of(spec, ipv6);
    if (!wanted) return wanted.error();
    auto family = open_wanted(spec, *backend, ipv6, status.notes);
    if (!family) return family.error();
    if (!*family) continue;
    auto const present = (*family)->present();
    if (!present) return present.error();
    auto described = describe(*backend, ipv6, *present, *wanted);
    add_leftovers(other(*backend), ipv6, described.differences, status.notes);
    described.as_specified = described.differences.empty();
    status.families.push_back(std::move(described));
  }
  return status;
}

}  // namespace imdsgate
