#include "rules/sequence.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "model/address.hpp"

namespace imdsgate::eql {
namespace {

constexpr std::size_t kMostCombinations = 16;
constexpr std::size_t kUntil = SequenceState::kMostStages;

// Every part with its length, so that ("a", "bc") and ("ab", "c") differ; a missing one is like no text.
void append_missing(std::string &key) {
  key += '\0';
}
void append_part(std::string &key, std::string_view text) {
  auto const size = static_cast<std::uint32_t>(text.size());
  key += '\1';
  key.append(reinterpret_cast<char const *>(&size), sizeof size);
  key += text;
}
void append_address(std::string &key, std::string_view text) {
  auto const address = Address::parse(text);
  if (!address) return append_part(key, text);
  key += '\2';
  key.append(reinterpret_cast<char const *>(address->bytes().data()), address->bytes().size());
}

}  // namespace

SequenceState::KeyHits *SequenceState::KeyList::find(std::string_view key) {
  for (std::size_t i = 0; i < count; ++i) {
    if (list[i].key == key) return &list[i];
  }
  return nullptr;
}

SequenceState::KeyHits &SequenceState::KeyList::at(std::string_view key) {
  if (auto *known = find(key)) return *known;
  if (count == list.size()) list.emplace_back();
  KeyHits &one = list[count++];
  one.key = key;
  one.hits.reset();
  return one;
}

void SequenceState::collect(Seen const &event, KeyList &into) {
  into.count = 0;
  for (std::size_t stage = 0; stage < shape_.stages.size(); ++stage) {
    if (event.hits[stage]) collect_stage(*event.row, shape_.stages[stage], stage, into);
  }
  if (event.hits[kUntil]) collect_stage(*event.row, shape_.until, kUntil, into);
}

// Each value once, so that the limit is one of different keys.
void SequenceState::collect_column(Row const &row, JoinKey const &key, Column &into) {
  into.count = 0;
  into.more = false;
  auto const next = [&]() -> std::string & {
    if (into.count == into.parts.size()) into.parts.emplace_back();
    std::string &part = into.parts[into.count];
    part.clear();
    return part;
  };
  auto at = row.cell(key.field).first;
  if (at == Row::kEnd) {
    append_missing(next());
    into.count = 1;
  }
  for (; at != Row::kEnd && !into.more; at = row.value(at).next) {
    std::string &part = next();
    key.address ? append_address(part, row.value(at).text) : append_part(part, row.value(at).text);
    auto const end = into.parts.begin() + static_cast<std::ptrdiff_t>(into.count);
    if (std::find(into.parts.begin(), end, part) != end) continue;
    into.more = into.count == kMostCombinations;
    if (!into.more) ++into.count;
  }
}

// Counts through the combinations of the fields' values like an odometer, the last field fastest.
void SequenceState::collect_stage(Row const &row, std::vector<JoinKey> const &keys, std::size_t stage,
                                  KeyList &into) {
  for (JoinKey const &key : keys) {
    if (row.cell(key.field).empty() && !key.optional) return;
  }
  if (columns_.size() < keys.size()) columns_.resize(keys.size());
  std::span<Column> const columns(columns_.data(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    collect_column(row, keys[i], columns[i]);
    columns[i].chosen = 0;
  }
  for (std::size_t number = 0; number < kMostCombinations; ++number) {
    key_.clear();
    for (Column const &column : columns) key_ += column.parts[column.chosen];
    into.at(key_).hits.set(stage);
    auto column = columns.rbegin();
    while (column != columns.rend() && ++column->chosen == column->count) (column++)->chosen = 0;
    if (column != columns.rend()) continue;
    if (std::ranges::any_of(columns, &Column::more)) ++uncombined_;
    return;
  }
  ++uncombined_;
}

// The later stages first, so that an event never goes on from a match that it has just become part of.
// True: it took up a pending match with the presented exec in it.
bool SequenceState::apply(KeyHits const &key, std::uint64_t id, bool presented, std::int64_t now,
                          Found &found) {
  bool taken = false;
  for (std::size_t stage = shape_.stages.size() - 1; stage > 0; --stage) {
    if (key.hits[stage]) {
      taken = advance(key, static_cast<std::uint32_t>(stage), id, presented, found) || taken;
    }
  }
  if (key.hits[0]) start(key, id, presented, now);
  if (key.hits[kUntil]) forget(key.key);
  return taken;
}

void SequenceState::start(KeyHits const &key, std::uint64_t id, bool presented, std::int64_t now) {
  auto index = table_.find(key.key, 0);
  if (index != PendingTable::kNone) table_.erase(index);
  if (!presented &&
      table_.size() >= shape_.pending) {  // a presented one is gone again, or counted, when all is done
    ++refused_;
    return;
  }
  index = table_.add(key.key, 0, now);
  table_[index].events.push_back(id);
  table_[index].presented = presented;
}

bool SequenceState::advance(KeyHits const &key, std::uint32_t stage, std::uint64_t id, bool presented,
                            Found &found) {
  auto const index = table_.find(key.key, stage - 1);
  if (index == PendingTable::kNone) return false;
  auto &pending = table_[index];
  bool const takes_up = pending.presented;
  pending.events.push_back(id);
  if (stage + 1 < shape_.stages.size()) {
    pending.presented = pending.presented || presented;
    if (auto const replaced = table_.find(key.key, stage); replaced != PendingTable::kNone) {
      table_.erase(replaced);
    }
    table_.move(index, stage);
    return takes_up;
  }
  auto const since = found.begin() + static_cast<std::ptrdiff_t>(first_found_);
  if (std::find(since, found.end(), pending.events) == found.end()) found.push_back(pending.events);
  table_.erase(index);
  return takes_up;
}

void SequenceState::forget(std::string_view key) {
  for (std::uint32_t stage = 0; stage + 1 < shape_.stages.size(); ++stage) {
    if (auto const index = table_.find(key, stage); index != PendingTable::kNone) table_.erase(index);
  }
}

void SequenceState::feed(Seen const &event, std::int64_t now, Found &found) {
  expire(now);
  first_found_ = found.size();
  collect(event, keys_);
  for (std::size_t i = 0; i < keys_.count; ++i) apply(keys_.list[i], event.id, false, now, found);
}

// What happens under one key says nothing of another, so each is decided alone. Under a key that the
// connection does not have, it cannot take the exec up.
void SequenceState::present(Seen const &exec, Seen const &connection, std::int64_t now, Found &found) {
  expire(now);
  first_found_ = found.size();
  collect(exec, exec_keys_);
  collect(connection, keys_);
  for (std::size_t i = 0; i < keys_.count; ++i) {
    KeyHits const &key = keys_.list[i];
    auto const *own = exec_keys_.find(key.key);
    if (own && present_key(*own, exec.id, key, connection.id, now, found)) continue;
    apply(key, connection.id, false, now, found);
  }
}

// False: not taken up, and everything is as it was. What the exec itself completes is not reported: its own
// event was, when it happened.
bool SequenceState::present_key(KeyHits const &exec, std::uint64_t exec_id, KeyHits const &connection,
                                std::uint64_t id, std::int64_t now, Found &found) {
  auto const before = saved(exec.key);
  std::size_t const found_before = found.size();
  Found by_exec;
  std::size_t const first_found = std::exchange(first_found_, 0);
  apply(exec, exec_id, true, now, by_exec);
  first_found_ = first_found;
  if (!apply(connection, id, false, now, found)) {
    found.resize(found_before);
    restore(exec.key, before);
    return false;
  }
  for (std::uint32_t stage = 0; stage + 1 < shape_.stages.size(); ++stage) {
    if (auto const index = table_.find(exec.key, stage); index != PendingTable::kNone) {
      table_[index].presented = false;
    }
  }
  if (table_.size() > shape_.pending) {
    forget(exec.key);
    ++refused_;
  }
  return true;
}

std::vector<PendingTable::Pending> SequenceState::saved(std::string_view key) const {
  std::vector<PendingTable::Pending> result;
  for (std::uint32_t stage = 0; stage + 1 < shape_.stages.size(); ++stage) {
    if (auto const index = table_.find(key, stage); index != PendingTable::kNone)
      result.push_back(table_[index]);
  }
  return result;
}

void SequenceState::restore(std::string_view key, std::vector<PendingTable::Pending> const &pending) {
  forget(key);
  for (auto const &one : pending) table_[table_.add(key, one.stage, one.start)].events = one.events;
}

void SequenceState::expire(std::int64_t now) {
  if (shape_.maxspan == kNoLimit) return;
  while (table_.oldest() != PendingTable::kNone && deadline() < now) table_.erase(table_.oldest());
}

std::int64_t SequenceState::deadline() const {
  std::int64_t last = kNoLimit;
  if (table_.oldest() == PendingTable::kNone) return last;
  if (__builtin_add_overflow(table_[table_.oldest()].start, shape_.maxspan, &last)) return kNoLimit;
  return last;
}

}  // namespace imdsgate::eql
