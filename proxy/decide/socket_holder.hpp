// One holder of the client's socket, and the questions a policy asks about him.
#pragma once

#include <array>
#include <optional>

#include "decide/event_of.hpp"
#include "decide/policy.hpp"
#include "model/decision.hpp"

namespace imdsgate {

// Lives within one decide(); borrows the lineage and the access. Builds each event at most once, when asked.
class SocketHolder {
 public:
  SocketHolder(Lineage const &lineage, AccessRequest const &access) : lineage_(&lineage), access_(&access) {}

  // The event of any category the rule is written for matches. A sequence is over more than one event and
  // never does. A rule with `live_exec: false` is not presented the requester's own exec.
  bool matches(Rule const &rule);

  // What it goes by as process.executable; nullptr: it has none.
  eql::Values const *executables() { return as(Presented::request).find("process.executable"); }
  // The same, and proven is also what is only for entries that name its container.
  eql::Values const *executables_in_namespace() { return in_its_namespace().find("process.executable"); }

  // The entry's `when` holds by what the kernel vouches for; unknown is no. To an entry that names a
  // container it vouches for a container's own executables, too.
  bool is_vouched_for(PolicyEntry const &entry);

  // The entry's `when` holds by anything the process goes by; unreadable is yes.
  bool is_accused(PolicyEntry const &entry);

  // It is proven to run one of these executables (or scripts).
  bool runs_one_of(std::vector<std::string> const &executables);

 private:
  eql::Event const &as(Presented what);
  eql::Event const &in_its_namespace();

  Lineage const *lineage_;
  AccessRequest const *access_;
  std::array<std::optional<eql::Event>, 3> events_;
  std::optional<eql::Event> in_its_namespace_;  // a request
};

}  // namespace imdsgate
