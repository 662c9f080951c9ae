// From recorded events to the lines that replay writes: the rules' engine, the limit on alerts, ECS.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "replay/playback.hpp"
#include "replay/spill.hpp"
#include "report/alert_limiter.hpp"
#include "rules/engine.hpp"

namespace imdsgate {

class RecordedAlerts {
 public:
  using Rules = std::vector<std::shared_ptr<Rule const>>;

  // `max_alerts` takes the place of every rule's own; negative: no limit.
  RecordedAlerts(Rules rules, std::optional<int> max_alerts);

  eql::FieldTable const &fields() const { return engine_->fields(); }

  void event(RecordedEvent const &event);
  void start_over();  // forgets all events and what was written
  void end();         // sums up what was held back in the intervals that are open
  Spool &lines() { return lines_; }
  // Beginnings of sequences not kept; events joined under some of their keys only.
  std::uint64_t refused() const { return engine_->counters().refused; }
  std::uint64_t uncombined() const { return engine_->counters().uncombined; }

 private:
  void write(AlertLimiter::Summary const &summary);

  Rules rules_;
  std::optional<int> max_alerts_;
  std::unique_ptr<eql::Engine> engine_;
  AlertLimiter limiter_;
  std::int64_t second_ = 0;  // the limiter was last asked what has ended
  std::vector<eql::Engine::Match> matches_;
  Spool lines_;
};

}  // namespace imdsgate
