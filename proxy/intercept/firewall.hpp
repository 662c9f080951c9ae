// The gateway's own chains in the host's firewall: what iptables/ holds, applied, verified, removed.
// Every call blocks on iptables' own programs (each with a deadline): start-up, the CLI and the worker thread
// only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/address.hpp"
#include "model/result.hpp"

namespace imdsgate {

enum class FirewallBackend { nft, legacy };

// The traffic that is not redirected: the daemon's own. All that are set must hold.
struct Exemption {
  std::uint32_t mark = 0x1d5, mask = 0xffff;
  std::optional<uid_t> uid;
  std::optional<std::string> cgroup;  // cgroup2 path of the unit, without the leading slash; never the root
};

// Where a client bound to `interface` is sent: a listener on that interface's own address.
struct InterfaceAddress {
  std::string interface;
  Address address;
  auto operator<=>(InterfaceAddress const &) const = default;
};

struct FirewallSpec {
  std::vector<Endpoint> endpoints;
  std::uint16_t listen_port = 880;
  std::vector<InterfaceAddress> interfaces;
  Exemption exemption;
  bool redirect = true;                    // nat/OUTPUT
  bool fence = false;                      // filter/OUTPUT, enforce
  std::optional<FirewallBackend> backend;  // nullopt: the one that `iptables` runs
};

// A rule of someone else's that speaks of a guarded address.
struct ForeignRule {
  std::string where;  // "iptables-nft filter/OUTPUT", "nft inet mytable/out"
  std::string rule;   // as its own tool prints it
};

struct FirewallStatus {
  struct Family {
    bool ipv6 = false;
    FirewallBackend backend = FirewallBackend::nft;
    bool redirect = false, fence = false;  // our chain is there and jumped to
    bool as_specified = false;             // and both hold exactly the rules of the spec
    std::vector<std::string> differences;  // one line each, for people
  };
  std::vector<Family> families;
};

Result<std::vector<ForeignRule>> scan_foreign_rules(FirewallSpec const &spec);

// Makes each family's tables hold exactly the spec, one transaction a family; idempotent. An IPv6 family is
// left out where the host has none. If the second family fails, the first is put back.
Result<void> apply_firewall(FirewallSpec const &spec);
Result<void> remove_firewall();  // both backends, both families; other people's rules untouched
Result<FirewallStatus> firewall_status(FirewallSpec const &spec);

}  // namespace imdsgate
