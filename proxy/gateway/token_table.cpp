#include "gateway/token_table.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "decide/unit_scope.hpp"

namespace imdsgate {
namespace {

// Who answers for a token's place: the outermost, because below it one may have as many units as he likes.
// Where the cgroup is not known, the user, who may have as many processes.
std::string account_of(Process const &process) {
  return process.cgroup.empty() ? "user:" + std::to_string(process.effective_uid) : session_scope(process);
}

}  // namespace

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
  auto account = account_of(minters->front()->process);
  if (entries_.size() >= kMost) make_room_for(account);
  ends_.emplace(now + ttl, its);
  auto &its_ends = accounts_[account];
  its_ends.emplace(now + ttl, its);
  count(account, its_ends.size() - 1, its_ends.size());
  entries_.emplace(its, Entry{std::move(minters), now + ttl, std::move(account)});
}

// Of those who hold most, the one that wants more.
void TokenTable::make_room_for(std::string const &account) {
  auto const [most, of_another] = *by_count_.rbegin();
  auto const &loser = by_count_.contains({most, account}) ? account : of_another;
  auto const [end, digest] = *accounts_.at(loser).begin();
  forgotten_until_ = std::max(forgotten_until_, end);
  ++forgotten_;
  remove(digest);
}

void TokenTable::count(std::string const &account, std::size_t before, std::size_t after) {
  by_count_.erase({before, account});
  if (after > 0) by_count_.emplace(after, account);
}

void TokenTable::remove(Digest const &digest) {
  auto const found = entries_.find(digest);
  if (found == entries_.end()) return;
  auto const &[minters, end, account] = found->second;
  ends_.erase({end, digest});
  auto const its = accounts_.find(account);
  its->second.erase({end, digest});
  count(account, its->second.size() + 1, its->second.size());
  if (its->second.empty()) accounts_.erase(its);
  entries_.erase(found);
}

TokenMinters TokenTable::find(std::string_view token, Time now) const {
  auto const found = entries_.find(digest(token));
  return found != entries_.end() && now < found->second.end ? found->second.minters : nullptr;
}

}  // namespace imdsgate
