#include <algorithm>

#include "rules/eql.hpp"

namespace imdsgate::eql {

std::uint64_t field_hash(std::string_view field) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (char const c : field) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

void Event::set(std::string_view field, std::string value) {
  Values values;
  values.claimed.push_back(value);
  values.proven.push_back(std::move(value));
  set(field, std::move(values));
}

void Event::set(std::string_view field, Values values) {
  for (std::string const &proven : values.proven) {
    if (std::find(values.claimed.begin(), values.claimed.end(), proven) == values.claimed.end()) {
      values.claimed.push_back(proven);
    }
  }
  std::uint64_t const hash = field_hash(field);
  std::size_t const index = index_of(hash, field);
  if (index < slots_.size()) {
    slots_[index].values = std::move(values);
    return;
  }
  hashes_.push_back(hash);
  slots_.push_back({std::string(field), std::move(values)});
}

void Event::set_unreadable(std::string_view field) {
  Values values;
  if (auto const *known = find(field)) values = *known;
  values.unreadable = true;
  set(field, std::move(values));
}

Values const *Event::find(std::string_view field) const {
  std::size_t const index = index_of(field_hash(field), field);
  return index < slots_.size() ? &slots_[index].values : nullptr;
}

std::size_t Event::index_of(std::uint64_t hash, std::string_view field) const {
  for (std::size_t i = 0; i < hashes_.size(); ++i) {
    if (hashes_[i] == hash && slots_[i].field == field) return i;
  }
  return slots_.size();
}

}  // namespace imdsgate::eql
