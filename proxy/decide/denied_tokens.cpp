#include "decide/denied_tokens.hpp"

#include "decide/unit_scope.hpp"

namespace imdsgate {

void DeniedTokens::Recent::add(std::string key, Time now) {
  remove(key);
  while (!entries_.empty() && entries_.front().end <= now) remove(std::string(entries_.front().key));
  if (entries_.size() >= kMost) {
    remove(std::string(entries_.front().key));
    ++evicted_;
  }
  entries_.push_back({key, now + stay_});
  keys_.emplace(std::move(key), std::prev(entries_.end()));
}

void DeniedTokens::Recent::remove(std::string const &key) {
  auto const found = keys_.find(key);
  if (found == keys_.end()) return;
  entries_.erase(found->second);
  keys_.erase(found);
}

bool DeniedTokens::Recent::has(std::string const &key, Time now) const {
  auto const found = keys_.find(key);
  return found != keys_.end() && now < found->second->end;
}

void DeniedTokens::deny(Attribution const &who, Time now) {
  for (auto const &holder : who.holders) {
    processes_.add(holder->process.entity_id, now);
    units_.add(unit_scope(holder->process), now);
  }
}

void DeniedTokens::forget(Attribution const &who) {
  for (auto const &holder : who.holders) {
    processes_.remove(holder->process.entity_id);
    units_.remove(unit_scope(holder->process));
  }
}

std::optional<std::size_t> DeniedTokens::find(Attribution const &who, Time now) const {
  for (std::size_t i = 0; i < who.holders.size(); ++i) {
    auto const &process = who.holders[i]->process;
    if (processes_.has(process.entity_id, now) || units_.has(unit_scope(process), now)) return i;
  }
  return std::nullopt;
}

}  // namespace imdsgate
