// What a table's chains do to the first packet of a connection to one guarded endpoint, by who created its
// socket. Pure. The answer is exact or there is none: a rule that tests something else leaves open what
// happens, unless what comes after it is the same either way.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "intercept/firewall.hpp"
#include "intercept/ruleset_save.hpp"
#include "model/owner_denial.hpp"

namespace imdsgate {

struct OwnerTest {
  bool of_group = false;
  IdRanges ranges;  // in any order
  bool negated = false;

  bool holds(std::uint32_t uid, std::uint32_t gid) const {
    return contains(ranges, of_group ? gid : uid) != negated;
  }
};

// One rule, as far as it concerns such a packet.
struct ChainStep {
  enum class Applies { never, to_owners, unclear };
  enum class Then { next, accept, refuse, leave, call, go_to, unclear };
  Applies applies = Applies::to_owners;
  std::vector<OwnerTest> owners;  // all must hold; none: it applies to everybody
  Then then = Then::next;
  std::string target;  // call, go_to

  bool clear() const {
    return applies == Applies::never || (applies == Applies::to_owners && then != Then::unclear);
  }
};

// What a rule's tests, read one by one, say of such a packet.
struct StepTests {
  bool never = false;        // one does not hold
  bool unclear = false;      // one is about something else
  bool not_new = false;      // it is no connection's first
  bool established = false;  // it may be a later one

  ChainStep::Applies applies(ChainStep::Then then) const;
};

using Chains = std::map<std::string, std::vector<ChainStep>, std::less<>>;

// uids × gids
struct RefusedOwners {
  IdRanges uids, gids;
  bool operator==(RefusedOwners const &) const = default;
};

// Who is refused by the base chain, whose policy that is; nullopt: that depends on more than who he is.
std::optional<std::vector<RefusedOwners>> refused_owners(Chains const &chains, std::string const &base,
                                                         bool policy_refuses);

ChainStep step_of(SavedRule const &rule, SavedTable const &table,
                  Endpoint const &endpoint);                                         // not of a nat table
ChainStep step_of(boost::json::array const &expressions, Endpoint const &endpoint);  // nft -j's "expr"

// A table, with its base chains that see what this host sends.
struct OutputTable {
  struct Base {
    std::string chain;
    bool policy_refuses = false;
  };
  // A foreign rule, and the step that it is.
  struct Rule {
    std::size_t number = 0;  // among ForeignRules::rules
    std::string chain;
    std::size_t position = 0;
    bool only_filters = true;
  };
  std::string name;  // "iptables-nft filter"
  std::vector<Base> bases;
  std::vector<Rule> rules;
  std::function<Chains(Endpoint const &)> chains;
};

// Which of the table's foreign rules are of Kind::owners, and what they come to.
void translate_owners(OutputTable const &table, ForeignRules &found);

}  // namespace imdsgate
