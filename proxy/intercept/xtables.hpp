// iptables' own programs: which there are, what they print, what they are given. Blocking.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "intercept/firewall.hpp"
#include "intercept/ruleset_save.hpp"

namespace imdsgate {

// One backend's view of one family's tables.
class Xtables {
 public:
  // Errc::not_found: its programs are not installed.
  static Result<Xtables> open(FirewallBackend backend, bool ipv6);

  FirewallBackend backend() const { return backend_; }
  bool ipv6() const { return ipv6_; }
  std::string name() const;  // "iptables-nft", "ip6tables-legacy"

  // Every table there is. Legacy tables that nobody uses are not asked for, since asking loads the kernel's
  // modules for them: with none in use the answer is empty. The list of those in use is for root's eyes
  // (hold_legacy_lists()); where it cannot be read and no loaded module tells either, `fallback` are asked for, or with none it is
  // Errc::unreadable.
  Result<SavedRules> save(std::span<std::string_view const> fallback = {}) const;

  // iptables-restore --noflush -w 5. The error says what it printed, and which capability is missing if one
  // is.
  Result<void> restore(std::string const &input) const;

 private:
  Xtables(FirewallBackend backend, bool ipv6, std::string save, std::string restore)
      : backend_(backend), ipv6_(ipv6), save_(std::move(save)), restore_(std::move(restore)) {}
  Error explain(std::string const &program, int exit_code, std::string printed) const;

  FirewallBackend backend_;
  bool ipv6_;
  std::string save_, restore_;
};

// The backend that `iptables` runs; Errc::not_found when there is no iptables.
Result<FirewallBackend> default_backend();

std::string_view to_string(FirewallBackend backend);

// Opens the list of the legacy tables in use for as long as the process runs, so that it can be read once the
// capabilities for that are dropped. At start, in the network namespace that is guarded.
void hold_legacy_lists();

// Is a legacy table in use, as far as that can be known? Of changes in those nobody is told.
bool legacy_tables_in_use();

// Whether this network namespace has IPv6 at all.
bool has_ipv6();

// The capability the firewall needs and this process cannot hand on to iptables, as a sentence; nullopt: all
// are there.
std::optional<std::string> missing_capability(FirewallBackend backend);

}  // namespace imdsgate
