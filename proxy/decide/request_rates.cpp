#include "decide/request_rates.hpp"

#include <algorithm>
#include <numeric>

namespace imdsgate {
namespace {

using std::chrono::seconds;

std::int64_t second_of(RequestRates::Time now) {
  return std::chrono::floor<seconds>(now.time_since_epoch()).count();
}

std::size_t slot(std::int64_t second) {
  return static_cast<std::size_t>(second) % RequestRates::kSeconds;
}
}  // namespace

void RequestRates::Window::advance(std::int64_t to) {
  auto const gone = std::min<std::int64_t>(to - second, kSeconds);
  for (std::int64_t i = 0; i < gone; ++i) counts[slot(to - i)] = 0;
  second = std::max(second, to);
}

std::uint32_t RequestRates::Window::sum() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint32_t{0});
}

RequestRates::Answer RequestRates::look(std::string_view process, std::uint32_t share,
                                        std::optional<unsigned> per_second, Time now) {
  auto const found = windows_.find(process);
  if (found == windows_.end()) return {};
  auto &window = found->second;
  auto const second = second_of(now);
  window.advance(second);
  Answer answer;
  if (window.sum() >= share && (!window.told || now - *window.told >= kToldAgainAfter)) {
    window.told = now;
    answer.over_share = true;
  }
  if (per_second) {
    // The second before counts for the part of it that lies within the last one.
    std::chrono::duration<double> const into = now.time_since_epoch() - seconds(second);
    double const before = window.counts[slot(second - 1)] * (1.0 - into.count());
    answer.over_rate = before + window.counts[slot(second)] + 1 > *per_second;
  }
  return answer;
}

void RequestRates::count(std::string_view process, Time now) {
  auto found = windows_.find(process);
  if (found == windows_.end()) {
    if (windows_.size() >= kMost && !make_room(now)) {
      ++untracked_;
      return;
    }
    found = windows_.emplace(std::string(process), Window{}).first;
    found->second.second = second_of(now);
  }
  found->second.advance(second_of(now));
  ++found->second.counts[slot(found->second.second)];
}

// Those who ask no more go; once a second at most, as it looks at all.
bool RequestRates::make_room(Time now) {
  if (swept_ && now - *swept_ < seconds(1)) return false;
  swept_ = now;
  std::erase_if(windows_, [&](auto const &each) {
    auto const &window = each.second;
    bool const quiet = window.second + static_cast<std::int64_t>(kSeconds) <= second_of(now);
    return quiet && (!window.told || now - *window.told >= kToldAgainAfter);
  });
  return windows_.size() < kMost;
}

}  // namespace imdsgate
