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
#include "model/owner_denial.hpp"
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
  std::vector<std::string> bridges;  // what comes in over them is led here, too: to their addresses in `interfaces`
  Exemption exemption;
  std::vector<Endpoint> dialled_as_root;  // of `endpoints`: a helper of uid 0 dials them, exempt there as the daemon is
  bool redirect = true;                   // nat/OUTPUT, and nat/PREROUTING for `bridges`
  // With `redirect`: the chain stands and sends nobody here. Connections redirected before keep their
  // translation, which they lose when the last rule of a nat table goes.
  bool draining = false;
  bool fence = false;                      // filter/OUTPUT, and filter/FORWARD for `bridges`; enforce
  std::optional<FirewallBackend> backend;  // nullopt: the one that `iptables` runs
};

// A rule of someone else's that speaks of a guarded address.
struct ForeignRule {
  enum class Kind {
    other,
    owners,     // in its table it only decides who may reach them, and that is in the denials
    ecs_agent,  // what makes 169.254.170.2 the ECS agent's
  };
  std::string where;                // "iptables-nft filter/OUTPUT", "nft inet mytable/out"
  std::string rule;                 // as its own tool prints it
  std::vector<Endpoint> endpoints;  // those it concerns
  Kind kind = Kind::other;
};

struct ForeignRules {
  std::vector<ForeignRule> rules;
  std::vector<OwnerDenial> denials;  // what those of Kind::owners come to, each table's for itself
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
  std::vector<std::string> notes;  // why a family is not among them
};

// Every rule of others, in all tables of both backends and in nft's own, that speaks of a guarded address (as
// destination, exactly or within a range or set, or as the target of a NAT), or that would defeat the
// redirect or lose protection by it: NOTRACK, CONNMARK --restore-mark on the daemon's way, an owner's REJECT
// that the redirect steers traffic around. A rule whose addresses cannot be read (an ipset) is listed as
// such. A source that cannot be read at all is an error, not an empty list.
Result<ForeignRules> scan_foreign_rules(FirewallSpec const &spec);

// Makes each family's tables hold exactly the spec, one iptables-restore a family; idempotent, and always
// written anew: a rule with a cgroup path means the cgroup that had this path when the rule was written, so
// after a restart of the unit the same text must go in again. An IPv6 family is left out, with a note, where
// the host has none, or no ip6tables (the latter is an error with a fence: enforce would leave IPv6 open). If
// anything fails, what was changed is put back. What the other backend holds of ours is removed.
Result<void> apply_firewall(FirewallSpec const &spec);
Result<void> apply_firewall(FirewallSpec const &spec, std::vector<std::string> &notes);

// Both backends, both families; other people's rules untouched. A table or base chain that exists only
// because of the gateway goes too (nft; a legacy table once loaded stays, empty).
Result<void> remove_firewall();

// Changes nothing. as_specified compares text, so it cannot see that a rule's cgroup was replaced by another
// of the same path.
Result<FirewallStatus> firewall_status(FirewallSpec const &spec);

}  // namespace imdsgate
