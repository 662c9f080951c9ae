// What exec events add to who asks: what a process went by and whose child it was when it exec'd, the sequence rules, and
// whether an exec may be missing. On the loop; owned by the daemon, outlives every session.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "attribute/exec_events.hpp"
#include "decide/live_rules.hpp"
#include "model/decision.hpp"

namespace imdsgate {

class ExecContext {
 public:
  // `events` may be nullptr: where the kernel tells of no exec (another network or pid namespace), sequences are joined
  // through the requester's own, presented exec alone. It outlives this.
  ExecContext(ExecEvents *events, HostInfo host);
  ExecContext(ExecContext const &) = delete;

  // At start and at each reload. What happened lately counts for the new rules, too.
  void use(std::vector<std::shared_ptr<Rule const>> const &rules);

  LiveRules &rules() { return rules_; }

  // What the rules' limits have come to. Totals, but for the first.
  struct Limits {
    std::uint64_t pending_sequences = 0;  // now
    std::uint64_t sequences = 0;          // beginnings not kept
    std::uint64_t join_keys = 0;          // events joined under some of their keys only
    std::uint64_t values = 0;             // terms decided without trying every combination of values
    std::uint64_t execs = 0;              // forgotten before their time
    std::uint64_t processes = 0;          // likewise, or not kept at all
  };
  Limits limits() const;

  HostInfo const &host() const { return host_; }

  // After true, every exec that happened before the call and was told at all is known; false: the deadline passed, or
  // nobody can say. Without exec events, and until they have begun, true at once: there is nothing to wait for. What is
  // missing then, missing() says.
  boost::asio::awaitable<bool> settled(Deadline deadline);

  // With what exec events recorded of the process and its parent; `who` itself where they recorded nothing.
  LineagePtr with_exec(LineagePtr const &who);
  bool has_exec_after(Process const &process, MonotonicTime time) const;
  // Whether one may be missing, after settled(): the kernel lost events, or nobody was there to be told of them.
  bool may_miss_exec_after(MonotonicTime time) const;
  // What may be missing of the execs that a rule would join with a connection of that time.
  MissingExecs missing(Attribution const &who, MonotonicTime time) const;

  // The time of an exec event for people; as close as the two clocks can be read one after the other.
  static LiveRules::Moment moment(MonotonicTime time);

 private:
  struct Enriched {
    LineagePtr who;  // keeps the address that is the key
    ExecRecordPtr record;
    LineagePtr result;
  };
  void on_exec(ExecRecord const &record);

  ExecEvents *const events_;
  HostInfo const host_;
  LiveRules rules_;
  std::optional<MonotonicTime> not_told_until_;  // the rules that began anew, of the execs before
  std::unordered_map<Lineage const *, Enriched> enriched_;  // bounded; of an older exec: made anew
};

}  // namespace imdsgate
