// scan_foreign_rules(): every source of rules on this host, read and handed to the pure analysers.
#include <algorithm>
#include <iterator>

#include "intercept/command.hpp"
#include "intercept/firewall.hpp"
#include "intercept/foreign_rules.hpp"
#include "intercept/nft_table.hpp"
#include "intercept/xtables.hpp"

namespace imdsgate {
namespace {

FirewallSpec of_family(FirewallSpec spec, bool ipv6) {
  std::erase_if(spec.endpoints, [&](Endpoint const &endpoint) { return endpoint.address.is_v4() == ipv6; });
  return spec;
}

void append(ForeignRules &to, ForeignRules from) {
  std::ranges::move(from.rules, std::back_inserter(to.rules));
  std::ranges::move(from.denials, std::back_inserter(to.denials));
}

// One backend's view of one family; empty where its programs are not installed, since then nobody used them
// here or nft shows what they left.
Result<SavedRules> saved_rules(FirewallBackend backend, bool ipv6, bool in_use) {
  static constexpr std::string_view kTables[] = {"raw", "mangle", "nat", "filter", "security"};
  if (ipv6 && !has_ipv6()) return SavedRules{};
  auto const xtables = Xtables::open(backend, ipv6);
  if (!xtables) return SavedRules{};
  return in_use ? xtables->save(kTables) : xtables->save();
}

Result<std::string> output_of(std::vector<std::string> argv) {
  std::string const program = argv[0];
  auto const output = Command(std::move(argv)).run();
  if (!output) return output.error();
  if (output->exit_code != 0) return Error{Errc::system, program + " failed: " + output->err};
  return output->out;
}

Result<void> scan_nf_tables(FirewallSpec const &spec, ForeignRules &found) {
  auto const available = nf_tables_available();
  if (!available) {
    auto const missing = missing_capability(FirewallBackend::nft);
    return missing ? Error{Errc::system, *missing} : available.error();
  }
  if (!*available) return {};
  SavedRules saved[2];
  for (bool const ipv6 : {false, true}) {
    auto rules = saved_rules(FirewallBackend::nft, ipv6, true);
    if (!rules) return rules.error();
    saved[ipv6] = std::move(*rules);
    append(found, foreign_rules_of_tables(saved[ipv6], ipv6 ? "ip6tables-nft" : "iptables-nft",
                                          of_family(spec, ipv6)));
  }
  auto const nft = find_program("nft");
  if (!nft) {
    auto const tables = unlisted_nft_tables(saved[0], saved[1]);
    if (!tables) return tables.error();
    for (auto const &table : *tables)
      found.rules.push_back({"nft " + table, "cannot be read: nft is not installed", spec.endpoints});
    return {};
  }
  auto const json = output_of({*nft, "-j", "list", "ruleset"});
  if (!json) return json.error();
  auto const listing = output_of({*nft, "-s", "-a", "list", "ruleset"});
  if (!listing) return listing.error();
  auto rules = foreign_rules_of_nft(*json, *listing, saved[0], saved[1], spec);
  if (!rules) return rules.error();
  append(found, std::move(*rules));
  return {};
}

}  // namespace

Result<ForeignRules> scan_foreign_rules(FirewallSpec const &spec) {
  ForeignRules found;
  if (auto scanned = scan_nf_tables(spec, found); !scanned) return scanned.error();
  auto const backend = spec.backend ? Result<FirewallBackend>(*spec.backend) : default_backend();
  bool const in_use = backend && *backend == FirewallBackend::legacy;
  for (bool const ipv6 : {false, true}) {
    auto const saved = saved_rules(FirewallBackend::legacy, ipv6, in_use);
    if (!saved) return saved.error();
    append(found, foreign_rules_of_tables(*saved, ipv6 ? "ip6tables-legacy" : "iptables-legacy",
                                          of_family(spec, ipv6)));
  }
  return found;
}

}  // namespace imdsgate
