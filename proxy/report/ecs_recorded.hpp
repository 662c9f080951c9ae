// What replay says of a recorded event: the lines that a live alert and the summary of held back ones have
// (interfaces §1, §4). Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "model/rule_info.hpp"
#include "report/alert_limiter.hpp"

namespace imdsgate {

// The event that completed a match; of several rules, perhaps.
class RecordedAlert {
 public:
  // `line`: one JSON object, as it was recorded. What is not is taken for an object without members.
  explicit RecordedAlert(std::string_view line);

  // What the limiter asks; borrows the rule and this.
  AlertSubject subject(RuleInfo const &rule) const;

  // One line without its newline: `rule`, `events` (the lines of the match's events, from 0), then the fields
  // of this event, dotted keys nested. @timestamp in UTC with milliseconds, event.kind, event.severity,
  // event.risk_score, event.reason, tags, threat and message are the alert's. Where the event has an id it
  // becomes imdsgate.request_event_id, and the alert's own is made of it and the rule's. Arguments, targets
  // and user agents are redacted as in a live alert.
  std::string to_ecs(RuleInfo const &rule, std::span<std::uint64_t const> events,
                     std::int64_t milliseconds) const;

 private:
  std::string message(RuleInfo const &rule) const;

  boost::json::object event_;
  std::string executable_, user_, path_class_, process_;
};

// What of a rule's alerts was held back in an interval; @timestamp is its end, the limiter's time being the
// events' own.
std::string to_ecs(RuleInfo const &rule, AlertLimiter::Summary const &summary);

}  // namespace imdsgate
