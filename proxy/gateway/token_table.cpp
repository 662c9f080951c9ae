#include "gateway/token_table.hpp"

#include <sodium.h>

#include <cstring>
#include <stdexcept>

#include "decide/unit_scope.hpp"

namespace imdsgate {

TokenTable::TokenTable() {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised");
  randombytes_buf(key_.data(), key_.size());
}

std::size_t TokenTable::FirstBytes::operator()(Digest const &digest) const {
  std::size_t first = 0;
  std::memcpy(&first, digest.data(), sizeof first);
  return first;
}

TokenTable::Digest TokenTable::digest(std::string_view token) const {
  Digest digest;
  auto const *bytes = reinterpret_cast<unsigned char const *>(token.data());
  crypto_generichash(digest.data(), digest.size(), bytes, token.size(), key_.data(), key_.size());
  return digest;
}

void TokenTable::learn(std::string_view token, TokenMinters minters, std::chrono::seconds ttl, Time now) {
  auto const its = digest(token);
  remove(its);
  while (!ends_.empty() && ends_.begin()->first <= now) remove(Digest(ends_.begin()->second));
  auto unit = unit_scope(minters->front()->process);
  auto const of_unit = units_.find(unit);
  if (of_unit != units_.end() && of_unit->second.size() >= kMostOfOneUnit) {
    ++refused_;
    remove(Digest(of_unit->second.begin()->second));
  }
  if (entries_.size() >= kMost) {
    ++refused_;
    return;
  }
  ends_.emplace(now + ttl, its);
  units_[unit].emplace(now + ttl, its);
  entries_.emplace(its, Entry{std::move(minters), now + ttl, std::move(unit)});
}

void TokenTable::remove(Digest const &digest) {
  auto const found = entries_.find(digest);
  if (found == entries_.end()) return;
  std::pair const place(found->second.end, digest);
  ends_.erase(place);
  auto const unit = units_.find(found->second.unit);
  unit->second.erase(place);
  if (unit->second.empty()) units_.erase(unit);
  entries_.erase(found);
}

TokenMinters TokenTable::find(std::string_view token, Time now) const {
  auto const found = entries_.find(digest(token));
  return found != entries_.end() && now < found->second.end ? found->second.minters : nullptr;
}

}  // namespace imdsgate
