// The daemon's counters, gauges and histograms (interfaces §5), and their text for Prometheus. Pure; the
// loop's thread only. Counting on the request path is an addition to an array; only an alert looks a name up,
// among at most kMaxNames.
//
// Beyond interfaces §5: imdsgate_imds_requests_total{version}, imdsgate_refused_total{reason},
// imdsgate_events_total{kind}, imdsgate_prober_replaced_total, imdsgate_reloads_total{result},
// imdsgate_mode{mode}, imdsgate_upstream_connections_reused_total, imdsgate_tokens,
// imdsgate_tokens_refused_total, imdsgate_rates_untracked_total, imdsgate_denied_tokens_forgotten_total,
// imdsgate_older_connections_total{result}, imdsgate_rule_limits_total{limit}, imdsgate_pending_sequences.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/event.hpp"

namespace imdsgate {

inline constexpr std::size_t kReasonCount = static_cast<std::size_t>(Reason::client_gone) + 1;

// Cumulative when rendered, in seconds, from 50 µs to 10 s.
class Histogram {
 public:
  static constexpr std::array<std::int64_t, 16> kBoundsNs{
      50'000,      100'000,      250'000,       500'000,       1'000'000,   2'500'000,
      5'000'000,   10'000'000,   25'000'000,    50'000'000,    100'000'000, 250'000'000,
      500'000'000, 1000'000'000, 2'500'000'000, 10'000'000'000};
  void observe(std::chrono::nanoseconds duration);
  std::uint64_t count() const { return count_; }
  std::uint64_t bucket(std::size_t i) const { return buckets_[i]; }  // not cumulative
  double sum_seconds() const { return static_cast<double>(sum_ns_) / 1e9; }

 private:
  std::array<std::uint64_t, kBoundsNs.size()> buckets_{};
  std::uint64_t count_ = 0;
  std::int64_t sum_ns_ = 0;
};

class Metrics {
 public:
  enum class EventKindLabel { event, alert, lifecycle };

  explicit Metrics(std::string version) : version_(std::move(version)) {}

  // One request or refused connection that has ended: requests, unattributed, refused and upstream errors
  // from the event itself. Reporter calls it once for each event that is not partial.
  void count(RequestEvent const &event, Provider provider);

  void count_refused(Reason reason) { ++refused_[index(reason)]; }  // a refusal that has no event
  void count_event(EventKindLabel kind) { ++events_[static_cast<std::size_t>(kind)]; }
  void count_alert(std::string_view rule) { ++named(alerts_, rule); }
  void count_suppressed(std::string_view rule) { ++named(suppressed_, rule); }
  void count_exec_events_lost(std::uint64_t count) { exec_events_lost_ += count; }
  void count_firewall_drift() { ++firewall_drift_; }
  void count_prober_replaced() { ++prober_replaced_; }
  void count_reload(bool loaded) { ++reloads_[loaded ? 1 : 0]; }
  void count_upstream_reused() { ++upstream_reused_; }

  void observe_added(std::chrono::nanoseconds duration) { added_.observe(duration); }
  void observe_attribution(Attribution::Method method, std::chrono::nanoseconds duration) {
    attribution_[static_cast<std::size_t>(method)].observe(duration);
  }

  void set_connections(std::uint64_t open) { connections_ = open; }
  void set_tokens(std::uint64_t known, std::uint64_t forgotten) { tokens_ = {known, forgotten}; }
  void set_denied_tokens_forgotten(std::uint64_t total) { denied_tokens_forgotten_ = total; }
  void set_rates_untracked(std::uint64_t total) { rates_untracked_ = total; }
  // answered, unknown, failed, refused: totals
  void set_container_lookups(std::array<std::uint64_t, 4> totals) { container_lookups_ = totals; }
  // sequences, join_keys, values, execs, processes: totals
  void set_rule_limits(std::array<std::uint64_t, 5> totals) { rule_limits_ = totals; }
  void set_pending_sequences(std::uint64_t pending) { pending_sequences_ = pending; }
  void set_mode(Mode mode) { mode_ = mode; }
  void set_events_dropped(std::string_view sink, std::uint64_t total) { named(dropped_, sink) = total; }

  std::uint64_t refused(Reason reason) const { return refused_[index(reason)]; }
  std::uint64_t unattributed(Reason reason) const { return unattributed_[index(reason)]; }

  // Text exposition format 0.0.4.
  std::string render() const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  static constexpr std::size_t kMaxNames = 1024;  // beyond: one shared label, "other"

 private:
  using Named = std::map<std::string, std::uint64_t, std::less<>>;
  // provider, class (0: none), verdict, action
  using Requests = std::array<std::array<std::array<std::array<std::uint64_t, 2>, 3>, 7>, 7>;

  static std::size_t index(Reason reason) { return static_cast<std::size_t>(reason); }
  static std::uint64_t &named(Named &counters, std::string_view name);
  void render_requests(std::string &out) const;
  void render_container_lookups(std::string &out) const;
  void render_rule_limits(std::string &out) const;

  std::string version_;
  Requests requests_{};
  std::array<std::uint64_t, kReasonCount> refused_{};
  std::array<std::uint64_t, kReasonCount> unattributed_{};
  std::array<std::uint64_t, kReasonCount> upstream_errors_{};
  std::array<std::uint64_t, 3> events_{};
  std::array<std::uint64_t, 2> imds_versions_{};  // by ImdsVersion
  std::array<std::uint64_t, 2> tokens_{};         // known, forgotten
  std::array<std::uint64_t, 2> reloads_{};
  std::array<std::uint64_t, 3> older_{};  // by OlderConnection
  std::optional<std::array<std::uint64_t, 4>> container_lookups_;  // where a runtime is asked
  Named alerts_, suppressed_, dropped_;
  std::uint64_t exec_events_lost_ = 0, firewall_drift_ = 0, prober_replaced_ = 0, upstream_reused_ = 0;
  std::uint64_t connections_ = 0, rates_untracked_ = 0, denied_tokens_forgotten_ = 0, pending_sequences_ = 0;
  std::array<std::uint64_t, 5> rule_limits_{};
  std::optional<Mode> mode_;
  Histogram added_;
  std::array<Histogram, 3> attribution_{};  // by Attribution::Method
};

}  // namespace imdsgate
