// Many rules over one stream of events in time order: event queries and sequences. Pure; time is passed in.
//
// What a sequence means
// (https://www.elastic.co/guide/en/elasticsearch/reference/current/eql-syntax.html, and where that is silent,
// as written here):
// - The join keys of a stage are the `by` of the sequence, then the stage's own. A missing key never joins,
//   unless it is written `?key`: then missing equals missing. Keys compare by their text, case-sensitively;
//   on an address field as addresses. An event with several values in a key field joins under each of them
//   (of 16 different combinations, the first ones, the last key's values fastest); the same events joined
//   under several keys are one match.
// - For each key there is at most one pending match a stage: a newer one replaces it. Going on to the next
//   stage consumes it. One event may end a sequence and start the next; it is never two stages of the same
//   match.
// - maxspan is measured from the first event, inclusive, in milliseconds.
// - `until`: an event it matches ends every pending match of its key, after the stages have seen it.
// - `with runs=N` is the same stage N times.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "rules/row.hpp"
#include "rules/rule.hpp"

namespace imdsgate::eql {

struct Stamp {
  std::int64_t milliseconds = 0;  // since the epoch; never less than that of the event before
  std::uint64_t id = 0;           // the caller's name for the event: a line of a file, an exec record
};

class Engine {
 public:
  struct Options {
    std::size_t pending = 65536;  // a rule; one more is not kept, and counted
  };
  struct Match {
    std::size_t rule;                   // index into the rules given
    std::vector<std::uint64_t> events;  // Stamp::id of each stage's event, in order; one for an event query
  };

  explicit Engine(std::vector<std::shared_ptr<Rule const>> rules, Options options);
  FieldTable const &fields() const;

  // Appends to `matches`, in the order of the rules.
  void feed(Row const &event, Stamp at, std::vector<Match> &matches);

  // A live requester's connection (design §5): as feed(connection), but rules with `live_exec` are first
  // shown the requester's own exec, with the connection's time and ordered just before it. An exec that the
  // connection does not take up leaves no trace: what was pending before is pending again. Sequences only.
  void present(Row const &exec, std::uint64_t exec_id, Row const &connection, Stamp at,
               std::vector<Match> &matches);

  // Sequences only: the longest maxspan (0 without one; a sequence without maxspan is as long as the largest
  // number).
  std::int64_t longest_span() const;

  struct Counters {
    std::uint64_t pending = 0;     // now
    std::uint64_t refused = 0;     // starts not kept because of Options::pending
    std::uint64_t uncombined = 0;  // events, for a stage each, joined under some of their keys only
  };
  Counters counters() const;

  Engine(Engine &&) noexcept;
  Engine &operator=(Engine &&) noexcept;
  ~Engine();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace imdsgate::eql
