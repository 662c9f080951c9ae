// Whom a rule of the host's own firewall keeps from the metadata service (`existing: translate`): the
// redirect steers his packets around the rule, so the gateway refuses him, by what the rule went by.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/address.hpp"

namespace imdsgate {

struct IdRange {
  static constexpr std::uint32_t kLast = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t first = 0, last = kLast;
  bool operator==(IdRange const &) const = default;
};

// Sorted, and none touches the next.
using IdRanges = std::vector<IdRange>;

bool contains(IdRanges const &ranges, std::uint32_t id);
// "48", "1000-2000, 65534", "all but 0", "all"
std::string to_string(IdRanges const &ranges);

// What is known of who created a socket.
struct SocketOwner {
  std::optional<std::uint32_t> uid;          // nullopt: not known
  std::span<std::uint32_t const> gids = {};  // any of them may be it; none: not known
};

struct OwnerDenial {
  IdRanges uids, gids;  // both must hold
  std::vector<Endpoint> endpoints;
  std::string where;               // "iptables-nft filter/OUTPUT"
  std::vector<std::string> rules;  // as their own tool prints them

  // What is not known may be one that the rule refused.
  bool refuses(SocketOwner const &owner) const;
  std::string name() const;       // "existing: uid 48, iptables-nft filter/OUTPUT"
  std::string to_string() const;  // the same with endpoints and rules
  bool operator==(OwnerDenial const &) const = default;
};

}  // namespace imdsgate
