// The sequence rules on live traffic (design §5): exec events as the kernel tells of them, connections and
// requests once it is known whose they are. Pure: time is passed in. Not safe for concurrent calls.
//
// Events reach the engine in the order they happened: a connection is known at accept and evaluated some
// milliseconds later, when its requester has a name, so the execs that follow it wait until then.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "model/event.hpp"
#include "rules/engine.hpp"
#include "rules/rule.hpp"

namespace imdsgate {

class LiveRules {
 public:
  using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC, which exec events are stamped with
  struct Moment {
    Clock::time_point at;                        // for order and maxspan
    std::chrono::system_clock::time_point wall;  // for people
  };
  struct Exec {
    Moment when;
    LineagePtr who;  // as it was at that exec
  };

  explicit LiveRules(HostInfo host) : host_(std::move(host)) {}

  // Starts anew with these rules. `recent`: what happened lately, in order, so that a reload forgets nothing.
  void use(std::vector<std::shared_ptr<Rule const>> const &rules, std::span<Exec const> recent);

  bool any() const { return engine_ != nullptr; }             // is there a sequence rule?
  bool take_requests() const { return take_requests_; }       // does one of them have a stage for requests?
  std::chrono::milliseconds reach() const { return reach_; }  // the longest maxspan; an hour for one without

  void exec(Exec exec);

  // A connection that was accepted then and waits for its requester's name. Execs after it wait with it,
  // until this is destroyed. Must not outlive the LiveRules.
  class Arrival {
   public:
    Arrival(LiveRules &rules, Moment when);
    ~Arrival();
    Arrival(Arrival const &) = delete;
    Arrival &operator=(Arrival const &) = delete;
    Moment when() const { return when_; }

   private:
    LiveRules &rules_;
    Moment const when_;
    std::multiset<Clock::time_point>::iterator place_;
  };

  // What the connection completes, a match through the requester itself first.
  std::vector<SequenceMatchPtr> connected(Moment when, Attribution const &who, std::string_view endpoint);
  // What a request on it completes.
  std::vector<SequenceMatchPtr> requested(Moment when, Attribution const &who, std::string_view endpoint,
                                          MetadataRequest const &request);

  // What is pending now; what the limits refused, also of rules that were there before.
  eql::Engine::Counters counters() const;

 private:
  using Matches = std::vector<SequenceMatchPtr>;
  // A holder's two events for one endpoint and transport: an agent that comes again is written down once.
  struct PresentedEvents {
    LineagePtr who;  // keeps the address that is the key
    eql::Event exec, connection;
  };
  PresentedEvents const &presented(LineagePtr const &who, std::string_view endpoint, bool tcp);
  void pump(Clock::time_point until);
  void release();
  eql::Stamp stamp(Clock::time_point at, SequenceEvent event);
  SequenceMatchPtr describe(eql::Engine::Match const &match, std::size_t holder, Lineage const &who) const;
  void take(std::vector<eql::Engine::Match> const &found, std::size_t holder, Lineage const &who,
            Matches &matches) const;

  HostInfo const host_;
  std::vector<std::shared_ptr<Rule const>> rules_;  // the sequences, in the engine's order
  std::unique_ptr<eql::Engine> engine_;             // nullptr: there is none
  eql::Engine::Counters before_;                    // of the engines before it
  std::chrono::milliseconds reach_{};
  bool take_requests_ = false;
  std::multiset<Clock::time_point> arrivals_;
  std::deque<Exec> waiting_;  // not yet shown to the engine
  std::int64_t latest_ = 0;   // milliseconds, of what the engine was shown last
  // What the engine's ids stand for: seen_[id - first_id_]. Bounded: an older one is left out of an alert.
  std::deque<SequenceEvent> seen_;
  std::uint64_t first_id_ = 1;
  std::map<std::pair<Lineage const *, std::string>, PresentedEvents, std::less<>> presented_;
};

}  // namespace imdsgate
