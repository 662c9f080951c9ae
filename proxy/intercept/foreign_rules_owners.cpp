#include <algorithm>
#include <set>

#include "intercept/owner_chains.hpp"

namespace imdsgate {
namespace {

// What may become of the packet, as bits.
constexpr unsigned kAccepted = 1, kRefused = 2, kLeft = 4, kNext = 8;

// One owner's packet on its way.
class Walk {
 public:
  Walk(Chains const &chains, std::uint32_t uid, std::uint32_t gid) : chains_(chains), uid_(uid), gid_(gid) {}

  unsigned through(std::string const &name) {
    auto const chain = chains_.find(name);
    if (chain == chains_.end()) return kLeft;
    if (auto const known = outcomes_.find(name); known != outcomes_.end()) return known->second;
    unsigned found = 0, way = kNext;
    for (auto step = chain->second.begin(); step != chain->second.end() && way != 0; ++step) {
      if (!may_apply(*step)) continue;
      auto const then = outcome(*step);
      found |= then & ~kNext;
      if (step->applies == ChainStep::Applies::to_owners) way = then & kNext;
    }
    if (way != 0) found |= kLeft;
    outcomes_[name] = found;
    return found;
  }

 private:
  bool may_apply(ChainStep const &step) const {
    if (step.applies == ChainStep::Applies::never) return false;
    return std::ranges::all_of(step.owners, [&](OwnerTest const &test) { return test.holds(uid_, gid_); });
  }

  unsigned outcome(ChainStep const &step) {
    switch (step.then) {
      case ChainStep::Then::next: return kNext;
      case ChainStep::Then::accept: return kAccepted;
      case ChainStep::Then::refuse: return kRefused;
      case ChainStep::Then::leave: return kLeft;
      case ChainStep::Then::go_to: return through(step.target);
      case ChainStep::Then::unclear: return kAccepted | kRefused | kNext;
      case ChainStep::Then::call: break;
    }
    auto const called = through(step.target);
    return (called & ~kLeft) | ((called & kLeft) != 0 ? kNext : 0);
  }

  Chains const &chains_;
  std::uint32_t const uid_, gid_;
  std::map<std::string, unsigned, std::less<>>
      outcomes_;  // netfilter refuses chains that lead into themselves
};

// The first of each stretch of ids that no test tells apart.
std::vector<std::uint32_t> stretches(Chains const &chains, bool of_group) {
  std::set<std::uint32_t> firsts{0};
  for (auto const &[name, steps] : chains) {
    for (auto const &step : steps) {
      for (auto const &test : step.owners) {
        if (test.of_group != of_group) continue;
        for (auto const &[first, last] : test.ranges) {
          firsts.insert(first);
          if (last != IdRange::kLast) firsts.insert(last + 1);
        }
      }
    }
  }
  return {firsts.begin(), firsts.end()};
}

void append(IdRanges &ranges, std::vector<std::uint32_t> const &firsts, std::size_t at) {
  auto const last = at + 1 < firsts.size() ? firsts[at + 1] - 1 : IdRange::kLast;
  if (!ranges.empty() && ranges.back().last + 1 == firsts[at]) {
    ranges.back().last = last;
  } else {
    ranges.push_back({firsts[at], last});
  }
}

constexpr std::size_t kMostCells = 4096;  // more owners than any table tells apart: taken for unclear

std::set<std::string> reached(Chains const &chains, std::vector<OutputTable::Base> const &bases) {
  std::vector<std::string> way;
  for (auto const &base : bases) way.push_back(base.chain);
  std::set<std::string> found;
  while (!way.empty()) {
    auto const name = std::move(way.back());
    way.pop_back();
    auto const chain = chains.find(name);
    if (!found.insert(name).second || chain == chains.end()) continue;
    for (auto const &step : chain->second) {
      bool const leads = step.then == ChainStep::Then::call || step.then == ChainStep::Then::go_to;
      if (leads && step.applies != ChainStep::Applies::never) way.push_back(step.target);
    }
  }
  return found;
}

// Of one table: what it comes to for each endpoint that a foreign rule concerns.
class Translation {
 public:
  Translation(OutputTable const &table, ForeignRules &found) : table_(table), found_(found) {}

  void run() {
    std::set<Endpoint> endpoints;
    for (auto const &rule : table_.rules) {
      auto const &its = found_.rules[rule.number].endpoints;
      endpoints.insert(its.begin(), its.end());
    }
    for (auto const &endpoint : endpoints) look_at(endpoint);
    for (auto const &rule : table_.rules) {
      bool const translated = !untranslated_.contains(rule.number);
      if (translated) found_.rules[rule.number].kind = ForeignRule::Kind::owners;
    }
    for (auto &denial : denials_) {
      name_rules(denial);
      found_.denials.push_back(std::move(denial));
    }
  }

 private:
  bool concerns(OutputTable::Rule const &rule, Endpoint const &endpoint) const {
    auto const &its = found_.rules[rule.number].endpoints;
    return std::ranges::find(its, endpoint) != its.end();
  }

  void look_at(Endpoint const &endpoint) {
    auto const chains = table_.chains(endpoint);
    std::vector<std::vector<RefusedOwners>> by_base;
    for (auto const &base : table_.bases) {
      if (auto refused = refused_owners(chains, base.chain, base.policy_refuses))
        by_base.push_back(*std::move(refused));
    }
    bool const exact = by_base.size() == table_.bases.size();
    auto const seen = reached(chains, table_.bases);
    for (auto const &rule : table_.rules) {
      if (!concerns(rule, endpoint)) continue;
      bool const clear = exact && rule.only_filters && seen.contains(rule.chain) &&
                         chains.find(rule.chain)->second[rule.position].clear();
      if (!clear) untranslated_.insert(rule.number);
    }
    if (!exact) return;
    for (std::size_t i = 0; i < by_base.size(); ++i) {
      for (auto const &refused : by_base[i])
        add(table_.name + '/' + table_.bases[i].chain, refused, endpoint);
    }
  }

  void add(std::string const &where, RefusedOwners const &refused, Endpoint const &endpoint) {
    auto const same = [&](OwnerDenial const &denial) {
      return denial.where == where && denial.uids == refused.uids && denial.gids == refused.gids;
    };
    auto place = std::ranges::find_if(denials_, same);
    if (place == denials_.end()) place = denials_.insert(place, {refused.uids, refused.gids, {}, where, {}});
    place->endpoints.push_back(endpoint);
  }

  void name_rules(OwnerDenial &denial) const {
    for (auto const &rule : table_.rules) {
      bool const about =
          std::ranges::any_of(denial.endpoints, [&](auto const &each) { return concerns(rule, each); });
      if (about && !untranslated_.contains(rule.number))
        denial.rules.push_back(found_.rules[rule.number].rule);
    }
  }

  OutputTable const &table_;
  ForeignRules &found_;
  std::set<std::size_t> untranslated_;
  std::vector<OwnerDenial> denials_;
};

}  // namespace

// A connection is no use when its later packets are refused.
ChainStep::Applies StepTests::applies(ChainStep::Then then) const {
  using Then = ChainStep::Then;
  bool const harmless = then == Then::next || then == Then::accept || then == Then::leave;
  bool const refused_later = not_new && established && !harmless;
  if (never || (not_new && !refused_later)) return ChainStep::Applies::never;
  return unclear || refused_later ? ChainStep::Applies::unclear : ChainStep::Applies::to_owners;
}

std::optional<std::vector<RefusedOwners>> refused_owners(Chains const &chains, std::string const &base,
                                                         bool policy_refuses) {
  auto const uids = stretches(chains, false), gids = stretches(chains, true);
  if (uids.size() * gids.size() > kMostCells) return std::nullopt;
  std::vector<RefusedOwners> refused;
  for (std::size_t u = 0; u < uids.size(); ++u) {
    IdRanges groups;
    for (std::size_t g = 0; g < gids.size(); ++g) {
      unsigned outcomes = Walk(chains, uids[u], gids[g]).through(base);
      if ((outcomes & kLeft) != 0) outcomes |= policy_refuses ? kRefused : kAccepted;
      if ((outcomes & kAccepted) != 0 && (outcomes & kRefused) != 0) return std::nullopt;
      if ((outcomes & kRefused) != 0) append(groups, gids, g);
    }
    if (groups.empty()) continue;
    auto place = std::ranges::find(refused, groups, &RefusedOwners::gids);
    if (place == refused.end()) place = refused.insert(place, {{}, groups});
    append(place->uids, uids, u);
  }
  return refused;
}

void translate_owners(OutputTable const &table, ForeignRules &found) {
  if (!table.rules.empty()) Translation(table, found).run();
}

}  // namespace imdsgate
