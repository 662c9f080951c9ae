#include "gateway/patience.hpp"

#include <boost/algorithm/string/predicate.hpp>
#include <algorithm>
#include <charconv>
#include <optional>

namespace imdsgate {
namespace {

constexpr auto kMargin = std::chrono::seconds(30);
constexpr auto kForEver = std::chrono::hours(24);
constexpr auto kScheduledEvents = std::chrono::minutes(5);

std::optional<std::string_view> last_value(MetadataRequest const &request, std::string_view key) {
  std::optional<std::string_view> value;
  for (auto const &[name, text] : request.query) {
    if (name == key) value = text;
  }
  return value;
}

}  // namespace

std::chrono::milliseconds response_timeout(MetadataRequest const &request, std::chrono::milliseconds ordinary) {
  if (boost::algorithm::iequals(request.path, "/metadata/scheduledevents")) {
    return std::max<std::chrono::milliseconds>(ordinary, kScheduledEvents);
  }
  auto const wait = last_value(request, "wait_for_change");
  if (!wait || !boost::algorithm::iequals(*wait, "true")) return ordinary;
  auto const timeout = last_value(request, "timeout_sec");
  unsigned seconds = 0;
  auto const *const end = timeout ? timeout->data() + timeout->size() : nullptr;
  bool const number = timeout && std::from_chars(timeout->data(), end, seconds).ptr == end;
  bool const bounded = number && seconds > 0;
  if (!bounded) return kForEver;
  return std::clamp<std::chrono::milliseconds>(std::chrono::seconds(seconds) + kMargin, ordinary, kForEver);
}

}  // namespace imdsgate
