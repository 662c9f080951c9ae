// The gateway's own part of a family's tables: rendered from the data in iptables/, read out of what
// iptables-save prints, and the text for iptables-restore that leads from one to the other. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "intercept/firewall.hpp"
#include "intercept/ruleset_save.hpp"

namespace imdsgate {

// What of one table is ours: our chains, their rules, and the rules of other chains that lead into them.
struct OwnTable {
  struct Reference {
    std::string chain;
    std::size_t position = 1;  // 1-based, among all rules of that chain
    std::string rule;
    bool operator==(Reference const &) const = default;
  };
  std::string table;
  std::vector<std::string> chains;
  std::vector<SavedRule> rules;
  std::vector<Reference> references;

  bool empty() const { return chains.empty() && rules.empty() && references.empty(); }
  bool has_chain(std::string_view chain) const;
};

// Chains that hold no rule and only say what the gateway made besides its own chains, so that removing can
// take it away again. iptables-nft makes a table and its base chain when the first rule goes in.
inline constexpr std::string_view kMadeTable = "IMDSGATE-MADE-TABLE";
std::string made_chain_mark(std::string_view chain);  // IMDSGATE-MADE-OUTPUT
bool is_made_mark(std::string_view chain);

// A mark that could not match, an interface or cgroup that cannot be written, an address that is not of its
// family: refused, since a rule that means something else is worse than none.
Result<void> check_spec(FirewallSpec const &spec);

// `data` is the text of iptables/ipv4.rules or ipv6.rules. Every table the data names is in the answer; one
// that is not wanted (no redirect, no fence, no endpoint of the family) is empty, which means: nothing of
// ours.
//   @ADDRESS@ @PORT@               one line an endpoint of the family
//   @INTERFACE@ @INTERFACE_ADDRESS@  and one line an interface address of the family
//   @BRIDGE@ @BRIDGE_ADDRESS@      one line a bridge; with the second, one an interface address of a bridge
//   @LISTEN@                       the listen port
//   @EXEMPT@                       mark, uid and cgroup matches, those that are set
//   @ROOT_ADDRESS@ @ROOT_PORT@     one line an endpoint of dialled_as_root of the family, unless @EXEMPT@ covers it
//   @EXEMPT_ROOT@                  as @EXEMPT@, of uid 0
Result<std::vector<OwnTable>> render_ruleset(FirewallSpec const &spec, bool ipv6, std::string_view data);

OwnTable own_part(SavedTable const *saved, std::string_view table);

// Input for iptables-restore --noflush that makes our part of `table` what `wanted` says, whatever of it is
// there now (`saved`, nullptr: the table is not there), and touches no rule that does not lead into a chain
// of ours. Empty when neither holds anything of ours.
std::string transition(SavedTable const *saved, OwnTable const &wanted);

// How what is there differs from what is wanted, a line each for people; empty only when it is the same.
std::vector<std::string> differences(OwnTable const &present, OwnTable const &wanted);

}  // namespace imdsgate
