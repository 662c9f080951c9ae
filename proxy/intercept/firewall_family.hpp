// One family's tables in one backend, changed so that it can be put back. Blocking.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "intercept/ruleset.hpp"
#include "intercept/xtables.hpp"

namespace imdsgate {

// The tables the gateway has chains in.
inline constexpr std::string_view kOwnTables[] = {"nat", "filter"};

class FirewallFamily {
 public:
  // in_use: this backend is the one that is used here, so that asking for a legacy table does no harm.
  FirewallFamily(Xtables xtables, bool in_use) : xtables_(std::move(xtables)), in_use_(in_use) {}
  std::string name() const { return xtables_.name(); }

  // What of the tables is ours now, a part for each of kOwnTables.
  Result<std::vector<OwnTable>> present() const;

  // Makes our part what `wanted` says (a part each table; an empty one: nothing of ours) and looks that it
  // is. On failure our part is as it was before the first call, or the error says that it is not.
  Result<void> become(std::vector<OwnTable> wanted);

  // As it was before the first become().
  Result<void> put_back();

 private:
  struct MadeOf {
    bool table = false;
    std::set<std::string> chains;  // base chains
  };
  using Made = std::map<std::string, MadeOf>;  // by table: what the gateway made of it
  Result<SavedRules> save() const;
  Result<void> attempt(std::vector<OwnTable> const &wanted);
  Result<void> remember_made(std::vector<OwnTable> &wanted, SavedRules const &saved);
  Result<void> tidy(std::vector<OwnTable> const &wanted);

  Xtables xtables_;
  bool in_use_;
  bool remembered_ = false;
  std::vector<OwnTable> before_;
  Made made_;
};

}  // namespace imdsgate
