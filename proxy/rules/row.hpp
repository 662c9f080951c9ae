// One event as the rules see it: the values of the fields that they name, by number.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/eql.hpp"

namespace imdsgate::eql {

// The fields that a set of rules names, numbered from 0.
class FieldTable {
 public:
  static constexpr std::uint32_t kUnnamed = 0xffffffff;
  std::uint32_t find(std::string_view name) const;  // kUnnamed: no rule names it
  std::uint32_t add(std::string_view name);         // while compiling
  std::span<std::string const> names() const { return names_; }

 private:
  friend class Row;
  std::uint32_t find(std::uint64_t hash, std::string_view name) const;
  void grow();

  std::vector<std::string> names_;
  std::vector<std::uint64_t> hashes_;   // of names_, in their order
  std::vector<std::uint32_t> buckets_;  // open addressing; a power of two, at most half full
};

// One event by the numbers of a FieldTable. Reusable: clear() keeps its memory. Texts are borrowed until
// then.
class Row {
 public:
  explicit Row(FieldTable const &fields);
  Row(FieldTable const &fields, Event const &event);  // borrows the event's texts

  void clear();
  void add_category(std::string_view category);           // an event may have several
  void add(std::uint32_t field, std::string_view value);  // proven, so claimed, too
  void add_claimed(std::uint32_t field, std::string_view value);
  void set_unreadable(std::uint32_t field);

  // Another event, perhaps of another table.
  void assign(FieldTable const &fields, Event const &event);

  // For whoever evaluates: values of a field are a list from `first`, linked by `next`, kEnd last.
  static constexpr std::uint32_t kEnd = 0xffffffff;
  struct Value {
    std::string_view text;
    std::uint32_t next = kEnd;
    bool proven = false;
  };
  struct Cell {
    std::uint32_t first = kEnd;
    std::uint32_t last = kEnd;
    bool unreadable = false;
    bool proven = false;  // one of its values is
    bool empty() const { return first == kEnd; }
    bool missing() const { return empty() && !unreadable; }
  };
  Cell const &cell(std::uint32_t field) const { return cells_[field]; }
  Value const &value(std::uint32_t index) const { return values_[index]; }
  std::span<std::string_view const> categories() const { return categories_; }

 private:
  void append(std::uint32_t field, std::string_view value, bool proven);
  void resize(FieldTable const &fields);

  std::vector<Cell> cells_;  // by field
  std::vector<Value> values_;
  std::vector<std::uint32_t> touched_;  // the cells that are not as a new one's
  std::vector<std::string_view> categories_;
};

}  // namespace imdsgate::eql
