// Who was denied a session token lately. SDKs take a 403 on the token request for a service without tokens
// and ask again without one (facts §6), some for as long as they run: what follows is denied with it. Pure:
// time is passed in. Not safe for concurrent calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "model/process.hpp"

namespace imdsgate {

class DeniedTokens {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::hours kProcessFor{6};  // the longest life a token could have had
  static constexpr std::chrono::seconds kUnitFor{60};  // `TOKEN=$(curl -X PUT …); curl …` are two processes
  static constexpr std::size_t kMost = 4096;           // of each; beyond, the oldest is forgotten

  void deny(Attribution const &who, Time now);
  void forget(Attribution const &who);  // they have one
  // The first of the holders that was denied one, itself or in its unit.
  std::optional<std::size_t> find(Attribution const &who, Time now) const;
  bool empty() const { return processes_.empty() && units_.empty(); }
  std::uint64_t evicted() const { return processes_.evicted() + units_.evicted(); }

 private:
  // In the order of their ends, as all stay for the same time.
  class Recent {
   public:
    explicit Recent(std::chrono::seconds stay) : stay_(stay) {}
    void add(std::string key, Time now);
    void remove(std::string const &key);
    bool has(std::string const &key, Time now) const;
    bool empty() const { return keys_.empty(); }
    std::uint64_t evicted() const { return evicted_; }

   private:
    struct Entry {
      std::string key;
      Time end;
    };
    std::chrono::seconds stay_;
    std::list<Entry> entries_;
    std::unordered_map<std::string, std::list<Entry>::iterator> keys_;
    std::uint64_t evicted_ = 0;
  };

  Recent processes_{kProcessFor};  // by entity id
  Recent units_{kUnitFor};         // by unit_scope()
};

}  // namespace imdsgate
