// How often each process asks. What the metadata service answers is the host's to share (facts: EC2 counts
// packets of the network card, Azure requests), so one process that takes much is told of, and may be held to
// a rate. Pure: time is passed in. Not safe for concurrent calls.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/request.hpp"

namespace imdsgate {

class RequestRates {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kSeconds = 10;  // the window of a share
  static constexpr std::size_t kMost = 4096;   // processes; beyond, new ones are not followed
  static constexpr std::chrono::minutes kToldAgainAfter{5};

  // Requests in kSeconds of one process that are worth an alert.
  //   EC2: 256. The network card may send 1,024 packets a second to all link-local services, DNS and time
  //   too; 25
  //        requests a second at about ten packets each are a quarter of it.
  //   GCE: 256, for want of a published number.
  //   Azure: 100, half of the 20 requests a second that the identity endpoint answers.
  static std::uint32_t share(Provider provider) { return provider == Provider::azure ? 100 : 256; }

  struct Answer {
    bool over_share = false;  // true once in kToldAgainAfter
    bool over_rate = false;   // with one more, in the last second
  };
  // Before a request is decided; `process` is its entity id, or empty for nobody. Does not count it.
  Answer look(std::string_view process, std::uint32_t share, std::optional<unsigned> per_second, Time now);
  // A request that goes upstream.
  void count(std::string_view process, Time now);

  std::size_t size() const { return windows_.size(); }
  std::uint64_t untracked() const { return untracked_; }  // requests of processes that are not followed

 private:
  struct Window {
    std::array<std::uint32_t, kSeconds> counts{};  // by second, modulo kSeconds
    std::int64_t second = 0;                       // the last that was counted in
    std::optional<Time> told;
    void advance(std::int64_t to);
    std::uint32_t sum() const;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  bool make_room(Time now);

  std::unordered_map<std::string, Window, Hash, std::equal_to<>> windows_;
  std::optional<Time> swept_;
  std::uint64_t untracked_ = 0;
};

}  // namespace imdsgate
