#include "model/owner_denial.hpp"

#include <algorithm>

namespace imdsgate {
namespace {

IdRanges const kEverybody{IdRange{}};

std::string listed(IdRanges const &ranges) {
  std::string text;
  for (auto const &[first, last] : ranges) {
    text += (text.empty() ? "" : ", ") + std::to_string(first);
    if (last != first) text += '-' + std::to_string(last);
  }
  return text;
}

IdRanges others(IdRanges const &ranges) {
  IdRanges result;
  std::uint64_t next = 0;
  for (auto const &[first, last] : ranges) {
    if (first > next) result.push_back({static_cast<std::uint32_t>(next), first - 1});
    next = std::uint64_t{last} + 1;
  }
  if (next <= IdRange::kLast) result.push_back({static_cast<std::uint32_t>(next), IdRange::kLast});
  return result;
}

}  // namespace

bool contains(IdRanges const &ranges, std::uint32_t id) {
  return std::ranges::any_of(ranges,
                             [&](IdRange const &each) { return each.first <= id && id <= each.last; });
}

std::string to_string(IdRanges const &ranges) {
  if (ranges == kEverybody) return "all";
  bool const most = !ranges.empty() && ranges.back().last == IdRange::kLast;
  return most ? "all but " + listed(others(ranges)) : listed(ranges);
}

bool OwnerDenial::refuses(SocketOwner const &owner) const {
  if (owner.uid && !contains(uids, *owner.uid)) return false;
  return owner.gids.empty() || std::ranges::any_of(owner.gids, [&](auto gid) { return contains(gids, gid); });
}

std::string OwnerDenial::name() const {
  std::string text = "existing: uid " + imdsgate::to_string(uids);
  if (gids != kEverybody) text += " and gid " + imdsgate::to_string(gids);
  return text + ", " + where;
}

std::string OwnerDenial::to_string() const {
  std::string text = name() + ", may not reach";
  for (auto const &endpoint : endpoints) text += ' ' + endpoint.to_string();
  for (auto const &rule : rules) text += "; " + rule;
  return text;
}

}  // namespace imdsgate
