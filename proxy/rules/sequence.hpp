// The state of one sequence rule over a stream of events. What it means: rules/engine.hpp.
#pragma once

#include <bitset>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "rules/engine.hpp"
#include "rules/pending_table.hpp"

namespace imdsgate::eql {

struct JoinKey {
  std::uint32_t field = 0;
  bool optional = false;
  bool address = false;
};

class SequenceState {
 public:
  static constexpr std::size_t kMostStages = 256;
  static constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
  using Hits = std::bitset<kMostStages + 1>;  // which stages' conditions an event meets; the last: until's
  using Found = std::vector<std::vector<std::uint64_t>>;  // the events of each match

  struct Shape {
    std::vector<std::vector<JoinKey>> stages;  // the keys of each
    std::vector<JoinKey> until;
    std::int64_t maxspan = kNoLimit;
    std::size_t pending = 0;  // the most there may be
  };
  struct Seen {  // an event, and what it meets
    Row const *row;
    Hits hits;
    std::uint64_t id;
  };

  explicit SequenceState(Shape shape) : shape_(std::move(shape)) {}

  // `now` never goes back. Appends to `found`; no match twice for one event.
  void feed(Seen const &event, std::int64_t now, Found &found);
  void present(Seen const &exec, Seen const &connection, std::int64_t now, Found &found);

  void expire(std::int64_t now);
  std::int64_t deadline()
      const;  // the time after which the oldest pending match has expired; kNoLimit: none will
  std::size_t pending() const { return table_.size(); }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t uncombined() const { return uncombined_; }

 private:
  struct KeyHits {
    std::string key;
    Hits hits;
  };
  // Reused: `count` of `list` are in use.
  struct KeyList {
    std::vector<KeyHits> list;
    std::size_t count = 0;
    KeyHits *find(std::string_view key);
    KeyHits &at(std::string_view key);
  };

  struct Column {  // what a key field joins under; reused: `count` of `parts` are in use
    std::vector<std::string> parts;
    std::size_t count = 0, chosen = 0;
    bool more = false;  // than there may be
  };

  void collect(Seen const &event, KeyList &into);
  static void collect_column(Row const &row, JoinKey const &key, Column &into);
  void collect_stage(Row const &row, std::vector<JoinKey> const &keys, std::size_t stage, KeyList &into);
  bool apply(KeyHits const &key, std::uint64_t id, bool presented, std::int64_t now, Found &found);
  void start(KeyHits const &key, std::uint64_t id, bool presented, std::int64_t now);
  bool advance(KeyHits const &key, std::uint32_t stage, std::uint64_t id, bool presented, Found &found);
  bool present_key(KeyHits const &exec, std::uint64_t exec_id, KeyHits const &connection, std::uint64_t id,
                   std::int64_t now, Found &found);
  std::vector<PendingTable::Pending> saved(std::string_view key) const;
  void restore(std::string_view key, std::vector<PendingTable::Pending> const &pending);
  void forget(std::string_view key);

  Shape shape_;
  PendingTable table_;
  std::uint64_t refused_ = 0, uncombined_ = 0;
  std::size_t first_found_ = 0;  // where in `found` those of this event begin
  KeyList keys_, exec_keys_;
  std::vector<Column> columns_;
  std::string key_;
};

}  // namespace imdsgate::eql
