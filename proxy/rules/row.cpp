#include "rules/row.hpp"

#include <algorithm>

namespace imdsgate::eql {

std::uint32_t FieldTable::find(std::string_view name) const {
  return find(field_hash(name), name);
}

std::uint32_t FieldTable::find(std::uint64_t hash, std::string_view name) const {
  if (buckets_.empty()) return kUnnamed;
  std::size_t const mask = buckets_.size() - 1;
  for (std::size_t at = hash & mask; buckets_[at] != kUnnamed; at = (at + 1) & mask) {
    std::uint32_t const field = buckets_[at];
    if (hashes_[field] == hash && names_[field] == name) return field;
  }
  return kUnnamed;
}

std::uint32_t FieldTable::add(std::string_view name) {
  std::uint64_t const hash = field_hash(name);
  if (auto const known = find(hash, name); known != kUnnamed) return known;
  auto const field = static_cast<std::uint32_t>(names_.size());
  names_.emplace_back(name);
  hashes_.push_back(hash);
  if (buckets_.size() < 2 * names_.size()) grow();
  std::size_t const mask = buckets_.size() - 1;
  std::size_t at = hash & mask;
  while (buckets_[at] != kUnnamed && buckets_[at] != field) at = (at + 1) & mask;
  buckets_[at] = field;
  return field;
}

void FieldTable::grow() {
  buckets_.assign(std::max<std::size_t>(16, 4 * buckets_.size()), kUnnamed);
  std::size_t const mask = buckets_.size() - 1;
  for (std::uint32_t field = 0; field < names_.size(); ++field) {
    std::size_t at = hashes_[field] & mask;
    while (buckets_[at] != kUnnamed) at = (at + 1) & mask;
    buckets_[at] = field;
  }
}

Row::Row(FieldTable const &fields) {
  resize(fields);
}

Row::Row(FieldTable const &fields, Event const &event) {
  assign(fields, event);
}

void Row::resize(FieldTable const &fields) {
  if (cells_.size() < fields.names().size()) cells_.resize(fields.names().size());
}

void Row::clear() {
  for (std::uint32_t const field : touched_) cells_[field] = {};
  touched_.clear();
  values_.clear();
  categories_.clear();
}

void Row::add_category(std::string_view category) {
  categories_.push_back(category);
}

void Row::append(std::uint32_t field, std::string_view value, bool proven) {
  Cell &cell = cells_[field];
  if (cell.missing()) touched_.push_back(field);
  auto const index = static_cast<std::uint32_t>(values_.size());
  values_.push_back({value, kEnd, proven});
  if (cell.empty()) {
    cell.first = index;
  } else {
    values_[cell.last].next = index;
  }
  cell.last = index;
  cell.proven = cell.proven || proven;
}

void Row::add(std::uint32_t field, std::string_view value) {
  append(field, value, true);
}

void Row::add_claimed(std::uint32_t field, std::string_view value) {
  append(field, value, false);
}

void Row::set_unreadable(std::uint32_t field) {
  Cell &cell = cells_[field];
  if (cell.missing()) touched_.push_back(field);
  cell.unreadable = true;
}

void Row::assign(FieldTable const &fields, Event const &event) {
  clear();
  resize(fields);
  if (!event.category.empty()) add_category(event.category);
  for (std::size_t i = 0; i < event.hashes_.size(); ++i) {
    auto const &[name, values] = event.slots_[i];
    std::uint32_t const field = fields.find(event.hashes_[i], name);
    if (field == FieldTable::kUnnamed) continue;
    if (values.claimed.size() == 1) {  // a proven value is claimed as well
      append(field, values.claimed.front(), !values.proven.empty());
      if (values.unreadable) set_unreadable(field);
      continue;
    }
    for (std::string const &value : values.claimed) {
      bool const proven = std::find(values.proven.begin(), values.proven.end(), value) != values.proven.end();
      append(field, value, proven);
    }
    if (values.unreadable) set_unreadable(field);
  }
}

}  // namespace imdsgate::eql
