// Whom EC2's session tokens were given to, as their answers went by. A token is kept as a keyed hash alone
// (BLAKE2b, with a key drawn at the start), so that nothing here can be used as one. Used on the loop only.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/decision.hpp"

namespace imdsgate {

class TokenTable {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kMost = 8192;  // beyond, whoever holds most loses the one that ends first

  TokenTable();  // throws std::runtime_error when the system has no random numbers

  // `minters` is not empty.
  void learn(std::string_view token, TokenMinters minters, std::chrono::seconds ttl, Time now);
  TokenMinters find(std::string_view token, Time now) const;  // nullptr: not known, or no longer good

  std::size_t size() const { return entries_.size(); }
  std::uint64_t forgotten() const { return forgotten_; }  // for want of room, before their end
  bool forgot_a_good_one(Time now) const { return now < forgotten_until_; }  // one that is good at `now`

 private:
  using Digest = std::array<unsigned char, 16>;
  struct FirstBytes {  // of a keyed hash: as good as any other
    std::size_t operator()(Digest const &digest) const;
  };
  using Ends = std::set<std::pair<Time, Digest>>;
  struct Entry {
    TokenMinters minters;
    Time end;
    std::string account;
  };

  Digest digest(std::string_view token) const;
  void remove(Digest const &digest);
  void make_room_for(std::string const &account);
  void count(std::string const &account, std::size_t before, std::size_t after);

  std::array<unsigned char, 32> key_;
  std::unordered_map<Digest, Entry, FirstBytes> entries_;
  Ends ends_;
  std::map<std::string, Ends> accounts_;
  std::set<std::pair<std::size_t, std::string>> by_count_;  // the accounts, by how much each holds
  std::uint64_t forgotten_ = 0;
  Time forgotten_until_{};  // the latest end of a forgotten one
};

}  // namespace imdsgate
