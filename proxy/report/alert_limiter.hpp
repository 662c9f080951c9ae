// Holds alerts back beyond a rule's max_alerts in an interval, and says afterwards what it held back. Pure:
// time is passed in. Blocking is not its business: what is held back is still blocked.
//
// The first alert of each (executable, user, path class) in an interval is never held back, so that decoys
// cannot hide a theft. Memory is bounded: once a bucket has seen its limit of such combinations, a new one
// can no longer be told from a repeated one and passes too (counted as untracked).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace imdsgate {

// One alert as the limiter sees it. Borrowed for the call.
struct AlertSubject {
  std::string_view name;  // the rule's id, or the reason's name
  int max_alerts = 100;   // negative: no limit
  std::chrono::milliseconds interval = std::chrono::minutes(5);
  std::string_view executable;  // empty: unattributed
  std::string_view user;
  std::string_view path_class;
  std::string_view process;  // entity id, for the count of distinct processes
};

class AlertLimiter {
 public:
  // Milliseconds, so that there is room for whatever a recorded event may say: nanoseconds reach from 1677 to
  // 2262 only.
  using Time = std::chrono::time_point<std::chrono::steady_clock, std::chrono::milliseconds>;

  struct Summary {
    std::string name;
    std::uint64_t suppressed = 0;
    std::uint64_t emitted = 0;
    std::uint64_t untracked = 0;
    std::size_t processes = 0;    // distinct ones among the suppressed
    bool more_processes = false;  // there were more than could be counted
    std::chrono::milliseconds interval{};
    Time end{};  // of the interval
  };

  // True: write the alert. An interval starts with its first alert.
  bool admit(AlertSubject const &alert, Time now);

  // The intervals that have ended, those in which something was held back; forgets them all. Call before
  // admit() and about once a second.
  std::vector<Summary> ended(Time now);
  std::vector<Summary> end_all();  // at exit

  std::size_t buckets() const { return buckets_.size(); }

  static constexpr std::size_t kMaxBuckets = 1024;              // beyond: one shared bucket, "other"
  static constexpr std::size_t kMaxCombinations = 4096;         // a bucket
  static constexpr std::size_t kMaxCombinationBytes = 1 << 20;  // a bucket
  static constexpr std::size_t kMaxProcesses = 256;             // a bucket

 private:
  struct Bucket {
    Summary summary;
    std::set<std::string, std::less<>> combinations;
    std::size_t combination_bytes = 0;
    std::set<std::string, std::less<>> processes;
  };

  Bucket &bucket(AlertSubject const &alert, Time now);
  static bool first_of_its_kind(Bucket &bucket, AlertSubject const &alert);

  std::map<std::string, Bucket, std::less<>> buckets_;
};

}  // namespace imdsgate
