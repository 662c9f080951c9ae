#include "report/sinks.hpp"

#include <algorithm>

#include "report/ecs.hpp"
#include "report/host_info.hpp"

namespace imdsgate {
namespace {

// What is left of a deadline that several waits share.
class Remaining {
 public:
  explicit Remaining(std::chrono::milliseconds deadline)
      : end_(std::chrono::steady_clock::now() + deadline) {}
  std::chrono::milliseconds operator()() const {
    auto const left = std::chrono::floor<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    return std::max(left, std::chrono::milliseconds(0));
  }

 private:
  std::chrono::steady_clock::time_point end_;
};

}  // namespace

Result<std::unique_ptr<Reporter>> Reporter::open(std::span<SinkOptions const> sinks, HostInfo host,
                                                 Metrics &metrics, Clock clock) {
  std::vector<std::unique_ptr<AsyncSink>> opened;
  for (auto const &options : sinks) {
    auto sink = AsyncSink::open(options);
    if (!sink) return sink.error();
    opened.push_back(std::move(*sink));
  }
  std::unique_ptr<Reporter> reporter(
      new Reporter(std::move(opened), std::move(host), metrics, std::move(clock)));
  reporter->tick();  // every sink's counter is there from the start
  return reporter;
}

Reporter::Reporter(std::vector<std::unique_ptr<AsyncSink>> sinks, HostInfo host, Metrics &metrics,
                   Clock clock)
    : provider_(host.provider),
      metrics_(metrics),
      clock_(std::move(clock)),
      sinks_(std::move(sinks)),
      anyone_wants_all_(std::ranges::any_of(sinks_, [](auto const &sink) { return !sink->alerts_only(); })),
      serializer_(std::move(host), [this](std::string_view line, bool alert) { post(line, alert); }) {}

void Reporter::write(RequestEvent event) {
  mode_ = event.mode;
  bool line = false;
  if (!event.partial) {
    metrics_.count(event, provider_);
    unknown_paths_.count(event);
    metrics_.count_event(Metrics::EventKindLabel::event);
    line = anyone_wants_all_;
  }
  bool const alert = event.decision.verdict != Verdict::allow && admit(event);
  if (alert) metrics_.count_event(Metrics::EventKindLabel::alert);
  if ((line || alert) && !sinks_.empty()) serializer_.put(std::move(event), line, alert);
}

void Reporter::write(LifecycleEvent const &event) {
  mode_ = event.mode;
  metrics_.count_event(Metrics::EventKindLabel::lifecycle);
  if (event.alert || anyone_wants_all_) serializer_.put(event);
}

AlertLimiter::Time Reporter::now() const {
  return std::chrono::floor<AlertLimiter::Time::duration>(clock_());
}

bool Reporter::admit(RequestEvent const &event) {
  Finding const *finding = alert_finding(event.decision);
  std::string_view const name = finding != nullptr ? std::string_view(finding->name) : "verdict";
  if (!event.partial) {
    auto const partial = partials_.find(event.id);
    if (partial != partials_.end()) {
      partials_.erase(partial);
      return true;  // counted as an alert when its early one was written
    }
  }
  report_suppressed(limiter_.ended(now()));

  AlertSubject subject;
  subject.name = name;
  if (finding != nullptr && finding->rule) {
    subject.max_alerts = finding->rule->max_alerts;
    subject.interval = finding->rule->interval;
  }
  std::string user;
  if (Lineage const *lineage = requester(event)) {
    user = std::to_string(lineage->process.effective_uid);
    subject.user = user;
    subject.process = lineage->process.entity_id;
    if (lineage->process.executable) subject.executable = lineage->process.executable->path;
  }
  if (event.request) subject.path_class = to_string(event.request->path_class);
  if (!limiter_.admit(subject, now())) {
    metrics_.count_suppressed(name);
    return false;
  }
  metrics_.count_alert(name);
  if (event.partial && partials_.size() < kMaxPartials) partials_.insert(event.id);
  return true;
}

void Reporter::post(std::string_view line, bool alert) {
  for (auto const &sink : sinks_) {
    if (alert || !sink->alerts_only()) sink->post(line, alert);
  }
}

void Reporter::report_suppressed(std::vector<AlertLimiter::Summary> const &summaries) {
  for (auto const &summary : summaries) {
    LifecycleEvent event;
    event.time = std::chrono::system_clock::now();
    event.id = new_event_id();
    event.what = Lifecycle::suppressed;
    event.mode = mode_;
    event.alert = true;  // it stands for alerts, so it goes where they go
    auto const processes = std::to_string(summary.processes) + (summary.more_processes ? "+" : "");
    auto const seconds = std::chrono::duration<double>(summary.interval).count();
    event.message = std::to_string(summary.suppressed) + " alerts of " + summary.name + " by " + processes +
                    " processes were held back within " + std::to_string(static_cast<long>(seconds)) + " s";
    event.details = {{"suppressed_rule", summary.name},
                     {"suppressed_count", std::to_string(summary.suppressed)},
                     {"suppressed_processes", processes},
                     {"alerts_written", std::to_string(summary.emitted)}};
    write(event);
  }
}

void Reporter::tick() {
  report_suppressed(limiter_.ended(now()));
  metrics_.set_events_dropped("queue", serializer_.dropped());
  for (auto const &sink : sinks_) metrics_.set_events_dropped(sink->name(), sink->dropped());
}

bool Reporter::flush(std::chrono::milliseconds deadline) {
  Remaining const left(deadline);
  bool written = serializer_.flush(left());
  for (auto const &sink : sinks_) written = sink->flush(left()) && written;
  return written;
}

bool Reporter::close(std::chrono::milliseconds deadline) {
  Remaining const left(deadline);
  report_suppressed(limiter_.end_all());
  serializer_.stop();  // waits for no sink: what one cannot take it drops
  bool written = true;
  for (auto const &sink : sinks_) written = sink->close(left()) && written;
  tick();
  return written;
}

}  // namespace imdsgate
