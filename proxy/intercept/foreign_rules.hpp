// Which rules of others stand in the gateway's way. Pure: the two syntaxes (iptables-save, nft -j) are read
// into RuleFacts, and one judge decides.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "intercept/firewall.hpp"
#include "intercept/ruleset_save.hpp"

namespace imdsgate {

// A set of addresses as firewall rules write one: "a", "a/24", "a/255.0.255.0", "a-b".
class AddressBlock {
 public:
  static std::optional<AddressBlock> parse(std::string_view text);
  static AddressBlock range(Address first, Address last);

  bool covers(Address const &address) const;
  bool everything() const { return everything_; }  // /0: speaks of no address

 private:
  using Bytes = std::array<std::uint8_t, 16>;
  Bytes first_{}, last_{};  // a range, or with a mask: address and mask
  bool masked_ = false;
  bool everything_ = false;
};

struct PortRange {
  std::uint16_t first = 0, last = 0;
};

// What a rule says, as far as it matters here.
struct RuleFacts {
  struct Destination {
    AddressBlock block;
    bool negated = false;
  };
  std::vector<Destination> destinations;  // alternatives: any of them may match
  std::vector<AddressBlock> nat_targets;
  bool excludes_tcp = false;
  std::optional<std::vector<PortRange>> ports;  // the destination ports it is about; nullopt: all
  std::vector<std::string> unreadable;          // matches whose addresses are not in the rule: "ipset imds"
  bool source_port = false;
  bool out_interface = false;
  bool owner = false;
  bool drops = false;
  bool untracks = false;
  std::optional<std::uint32_t> restores_mark;  // the bits of the packet's mark that it overwrites
  bool on_output = false;                      // in, or reached from, a chain that sees what this host sends
};

// Nullopt: it does not stand in the way. Otherwise what the report says before the rule itself: nothing, or
// "cannot be read: ipset imds: ".
std::optional<std::string> judge(RuleFacts const &facts, FirewallSpec const &spec);

// Those of the spec's endpoints that it stands in the way of.
std::vector<Endpoint> concerned_endpoints(RuleFacts const &facts, FirewallSpec const &spec);

// `source` is "iptables-nft" or the like.
ForeignRules foreign_rules_of_tables(SavedRules const &saved, std::string const &source,
                                     FirewallSpec const &spec);

// `json` is `nft -j list ruleset`, `listing` is `nft -s -a list ruleset` for the rules' text (what is not in
// it is shown as JSON). What iptables-nft-save already showed (`ip`, `ip6`) is left out: a chain of the
// family's tables with at least one rule printed there.
Result<ForeignRules> foreign_rules_of_nft(std::string_view json, std::string_view listing,
                                          SavedRules const &ip, SavedRules const &ip6,
                                          FirewallSpec const &spec);

}  // namespace imdsgate
