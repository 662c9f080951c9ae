// The kernel's nf_tables objects by netlink, where iptables-nft and nft are no help: which tables and base
// chains exist at all, and deleting an empty one only if nothing changed since it was found empty.
// Source: linux/netfilter/nf_tables.h; nfnetlink's NFNL_BATCH_GENID (net/netfilter/nfnetlink.c).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "intercept/ruleset_save.hpp"
#include "model/result.hpp"

namespace imdsgate {

struct NftTable {
  bool exists = false;
  struct Chain {
    std::string name;
    std::size_t rules = 0;
    bool accepts = true;  // no policy, or policy accept
  };
  std::vector<Chain> chains;
  std::size_t others = 0;        // sets, maps, objects and flow tables
  std::uint32_t generation = 0;  // of the whole ruleset when this was read

  Chain const *chain(std::string const &name) const;
};

// Whether the kernel has nf_tables at all (asking loads the module where there is one).
Result<bool> nf_tables_available();

// Family ip or ip6. One consistent view: read again while the generation moves.
Result<NftTable> read_nft_table(std::string const &table, bool ipv6);

// Fails with Errc::refused when the ruleset is no longer of `generation`.
Result<void> delete_nft_table(std::string const &table, bool ipv6, std::uint32_t generation);
Result<void> delete_nft_chain(std::string const &table, std::string const &chain, bool ipv6,
                              std::uint32_t generation);

// Takes away what the gateway made and nobody else uses: the whole table when `made_table` and nothing is
// left in it but empty base chains of `made_chains`, else those of them that are empty.
Result<void> tidy_nft_table(std::string const &table, bool ipv6, bool made_table,
                            std::set<std::string> const &made_chains);

// The tables of all families ("inet filter") that hold anything and that iptables-nft-save did not print.
Result<std::vector<std::string>> unlisted_nft_tables(SavedRules const &ip, SavedRules const &ip6);

}  // namespace imdsgate
