#include "cli/recorded_alerts.hpp"

#include <algorithm>

#include "report/ecs_recorded.hpp"

namespace imdsgate {
namespace {

// A recording is of many hosts, and of many more processes than one host has.
constexpr std::size_t kPending = 1 << 20;

std::unique_ptr<eql::Engine> engine_of(RecordedAlerts::Rules const &rules) {
  eql::Engine::Options options;
  options.pending = kPending;
  return std::make_unique<eql::Engine>(rules, options);
}

AlertLimiter::Time limiter_time(std::int64_t milliseconds) {
  return AlertLimiter::Time(std::chrono::milliseconds(milliseconds));
}

}  // namespace

RecordedAlerts::RecordedAlerts(Rules rules, std::optional<int> max_alerts)
    : rules_(std::move(rules)), max_alerts_(max_alerts), engine_(engine_of(rules_)) {}

void RecordedAlerts::event(RecordedEvent const &event) {
  matches_.clear();
  engine_->feed(event.fields, {event.milliseconds, event.line}, matches_);
  auto const second = event.milliseconds / 1000;
  if (matches_.empty() && second == second_) return;
  second_ = second;
  auto const now = limiter_time(event.milliseconds);
  for (auto const &summary : limiter_.ended(now)) write(summary);
  if (matches_.empty()) return;
  RecordedAlert const alert(event.text);
  for (auto const &match : matches_) {
    Rule const &rule = *rules_[match.rule];
    auto subject = alert.subject(rule);
    if (max_alerts_) subject.max_alerts = *max_alerts_;
    if (subject.max_alerts >= 0 && !limiter_.admit(subject, now)) continue;
    lines_.append(alert.to_ecs(rule, match.events, event.milliseconds));
    lines_.append("\n");
  }
}

void RecordedAlerts::start_over() {
  engine_ = engine_of(rules_);
  limiter_ = AlertLimiter();
  lines_.discard();
}

void RecordedAlerts::end() {
  for (auto const &summary : limiter_.end_all()) write(summary);
}

void RecordedAlerts::write(AlertLimiter::Summary const &summary) {
  auto const named = [&](auto const &rule) { return rule->id == summary.name; };
  auto const rule = std::ranges::find_if(rules_, named);
  RuleInfo other;
  other.id = summary.name;  // the limiter's bucket for more rules than it keeps apart
  RuleInfo const *const about = rule == rules_.end() ? &other : rule->get();
  lines_.append(to_ecs(*about, summary));
  lines_.append("\n");
}

}  // namespace imdsgate
