// Turns events into lines and hands each line to every sink that wants it. Called on the loop; the writing is
// each sink's own thread's (async_sink.hpp).
//
// A request's event makes one line, and one more as an alert when its verdict is alert or block, unless the
// alert limiter holds that back. A partial event (a request still being answered) makes the alert line only;
// when that was written, the alert at the end of the same request is written too, whatever the limiter says.
#pragma once

#include <functional>
#include <set>
#include <span>

#include "report/alert_limiter.hpp"
#include "report/async_sink.hpp"
#include "report/event_sink.hpp"
#include "report/metrics.hpp"
#include "report/serializer.hpp"
#include "report/unknown_paths.hpp"

namespace imdsgate {

class Reporter final : public EventSink {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  // `metrics` must outlive it. An error when any sink cannot be written to now.
  static Result<std::unique_ptr<Reporter>> open(std::span<SinkOptions const> sinks, HostInfo host,
                                                Metrics &metrics,
                                                Clock clock = std::chrono::steady_clock::now);

  void write(RequestEvent event) override;
  void write(LifecycleEvent const &event) override;

  // About once a second, and before metrics are rendered: ends the limiter's intervals (one `suppressed`
  // event for each rule that held something back) and brings imdsgate_events_dropped_total up to date.
  void tick();

  bool flush(std::chrono::milliseconds deadline);  // true: everything so far is written or counted as dropped
  // Sums up what the limiter still holds, then closes every sink; all of them together take at most the
  // deadline.
  bool close(std::chrono::milliseconds deadline);

  std::vector<std::unique_ptr<AsyncSink>> const &sinks() const { return sinks_; }
  UnknownPaths const &unknown_paths() const { return unknown_paths_; }

 private:
  Reporter(std::vector<std::unique_ptr<AsyncSink>> sinks, HostInfo host, Metrics &metrics, Clock clock);

  AlertLimiter::Time now() const;
  bool admit(RequestEvent const &event);
  void post(std::string_view line, bool alert);  // the serializer's thread
  void report_suppressed(std::vector<AlertLimiter::Summary> const &summaries);

  static constexpr std::size_t kMaxPartials = 4096;

  Provider provider_;
  Metrics &metrics_;
  Clock clock_;
  UnknownPaths unknown_paths_;
  AlertLimiter limiter_;
  std::set<std::string, std::less<>> partials_;  // request ids whose early alert was written
  Mode mode_ = Mode::audit;                      // of the last event, for the limiter's summaries
  std::vector<std::unique_ptr<AsyncSink>> sinks_;
  bool anyone_wants_all_;
  Serializer serializer_;  // last: its thread ends before the sinks it posts to go
};

}  // namespace imdsgate
