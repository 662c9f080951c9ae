#include "report/metrics.hpp"

#include <charconv>

namespace imdsgate {
namespace {

bool is_upstream(Reason reason) {
  return reason >= Reason::upstream_refused && reason <= Reason::upstream_garbage;
}
bool is_attribution(Reason reason) {
  return reason >= Reason::socket_gone && reason <= Reason::not_recorded;
}

std::string_view to_label(Metrics::EventKindLabel kind) {
  switch (kind) {
    case Metrics::EventKindLabel::event: return "event";
    case Metrics::EventKindLabel::alert: return "alert";
    case Metrics::EventKindLabel::lifecycle: return "lifecycle";
  }
  __builtin_unreachable();
}

struct Label {
  std::string_view name, value;
};

void append_escaped_label(std::string &out, std::string_view value) {
  for (char const c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

void head(std::string &out, std::string_view name, std::string_view type, std::string_view help) {
  out.append("# HELP ").append(name).append(1, ' ').append(help).append("\n# TYPE ").append(name);
  out.append(1, ' ').append(type).append(1, '\n');
}

template <class Number>
void sample(std::string &out, std::string_view name, std::initializer_list<Label> labels, Number number) {
  out += name;
  char separator = '{';
  for (auto const &label : labels) {
    out.append(1, separator).append(label.name).append("=\"");
    append_escaped_label(out, label.value);
    out += '"';
    separator = ',';
  }
  if (labels.size() > 0) out += '}';
  char text[32];
  out.append(1, ' ').append(text, std::to_chars(text, text + sizeof text, number).ptr).append(1, '\n');
}

void counter(std::string &out, std::string_view name, std::string_view help, std::uint64_t value) {
  head(out, name, "counter", help);
  sample(out, name, {}, value);
}

template <class Predicate>
void by_reason(std::string &out, std::string_view name, std::array<std::uint64_t, kReasonCount> const &values,
               Predicate applies) {
  for (auto const &reason : reasons()) {
    if (applies(reason.reason)) {
      sample(out, name, {{"reason", reason.name}}, values[static_cast<std::size_t>(reason.reason)]);
    }
  }
}

void histogram(std::string &out, std::string const &name, std::optional<Label> label,
               Histogram const &values) {
  std::uint64_t cumulative = 0;
  auto const bucket = [&](std::string_view bound, std::uint64_t count) {
    if (label) return sample(out, name + "_bucket", {*label, {"le", bound}}, count);
    sample(out, name + "_bucket", {{"le", bound}}, count);
  };
  for (std::size_t i = 0; i < Histogram::kBoundsNs.size(); ++i) {
    cumulative += values.bucket(i);
    char text[32];
    auto const end =
        std::to_chars(text, text + sizeof text, static_cast<double>(Histogram::kBoundsNs[i]) / 1e9,
                      std::chars_format::fixed)
            .ptr;
    bucket(std::string_view(text, end), cumulative);
  }
  bucket("+Inf", values.count());
  if (label) {
    sample(out, name + "_sum", {*label}, values.sum_seconds());
    sample(out, name + "_count", {*label}, values.count());
  } else {
    sample(out, name + "_sum", {}, values.sum_seconds());
    sample(out, name + "_count", {}, values.count());
  }
}

void by_name(std::string &out, std::string_view name, std::string_view label,
             std::map<std::string, std::uint64_t, std::less<>> const &values) {
  for (auto const &[key, value] : values) sample(out, name, {{label, key}}, value);
}

constexpr Provider kProviders[] = {Provider::ec2,        Provider::gce,    Provider::azure,    Provider::ecs,
                                   Provider::wireserver, Provider::oracle, Provider::openstack};
constexpr Verdict kVerdicts[] = {Verdict::allow, Verdict::alert, Verdict::block};
constexpr Action kActions[] = {Action::forward, Action::block};

}  // namespace

void Histogram::observe(std::chrono::nanoseconds duration) {
  auto const ns = duration.count();
  ++count_;
  sum_ns_ += ns;
  for (std::size_t i = 0; i < kBoundsNs.size(); ++i) {
    if (ns <= kBoundsNs[i]) {
      ++buckets_[i];
      return;
    }
  }
}

std::uint64_t &Metrics::named(Named &counters, std::string_view name) {
  auto found = counters.find(name);
  if (found == counters.end()) {
    bool const full = counters.size() >= kMaxNames;
    found = counters.try_emplace(full ? std::string("other") : std::string(name)).first;
  }
  return found->second;
}

void Metrics::count(RequestEvent const &event, Provider provider) {
  if (event.older) {
    ++older_[static_cast<std::size_t>(*event.older)];
    return;
  }
  if (event.request) {
    auto const path_class = 1 + static_cast<std::size_t>(event.request->path_class);
    ++requests_[static_cast<std::size_t>(event.request->provider)][path_class]
               [static_cast<std::size_t>(event.decision.verdict)][static_cast<std::size_t>(event.action)];
  } else if (event.raw) {
    ++requests_[static_cast<std::size_t>(provider)][0][static_cast<std::size_t>(event.decision.verdict)]
               [static_cast<std::size_t>(event.action)];
  }
  if (event.request && event.request->imds_version) {
    ++imds_versions_[static_cast<std::size_t>(*event.request->imds_version)];
  }
  if (event.unattributed) ++unattributed_[index(*event.unattributed)];
  if (event.failure) ++(is_upstream(*event.failure) ? upstream_errors_ : refused_)[index(*event.failure)];
}

void Metrics::render_requests(std::string &out) const {
  constexpr std::string_view name = "imdsgate_requests_total";
  head(out, name, "counter", "Requests read, by what was asked for and what became of it.");
  for (auto const provider : kProviders) {
    for (std::size_t path_class = 0; path_class < 7; ++path_class) {
      for (auto const verdict : kVerdicts) {
        for (auto const action : kActions) {
          auto const count = requests_[static_cast<std::size_t>(provider)][path_class]
                                      [static_cast<std::size_t>(verdict)][static_cast<std::size_t>(action)];
          if (count == 0) continue;
          auto const label = path_class == 0 ? "none" : to_string(static_cast<PathClass>(path_class - 1));
          sample(out, name,
                 {{"provider", to_string(provider)},
                  {"class", label},
                  {"verdict", to_string(verdict)},
                  {"action", to_string(action)}},
                 count);
        }
      }
    }
  }
}

void Metrics::render_container_lookups(std::string &out) const {
  if (!container_lookups_) return;
  constexpr std::array<std::string_view, 4> kResults{"answered", "unknown", "failed", "refused"};
  head(out, "imdsgate_container_lookups_total", "counter", "Containers that the container runtime was asked about.");
  for (std::size_t i = 0; i < kResults.size(); ++i) {
    sample(out, "imdsgate_container_lookups_total", {{"result", kResults[i]}}, (*container_lookups_)[i]);
  }
}

void Metrics::render_rule_limits(std::string &out) const {
  constexpr std::array<std::string_view, 5> kLimits{"sequences", "join_keys", "values", "execs", "processes"};
  head(out, "imdsgate_rule_limits_total", "counter", "What the rules could not take into account, for want of room.");
  for (std::size_t i = 0; i < kLimits.size(); ++i) {
    sample(out, "imdsgate_rule_limits_total", {{"limit", kLimits[i]}}, rule_limits_[i]);
  }
  head(out, "imdsgate_pending_sequences", "gauge", "Beginnings of sequences that wait for what follows.");
  sample(out, "imdsgate_pending_sequences", {}, pending_sequences_);
}

std::string Metrics::render() const {
  std::string out;
  out.reserve(16 << 10);
  render_requests(out);
  head(out, "imdsgate_imds_requests_total", "counter", "EC2's requests, by the protocol's version.");
  for (auto const version : {ImdsVersion::v1, ImdsVersion::v2}) {
    sample(out, "imdsgate_imds_requests_total", {{"version", to_string(version)}},
           imds_versions_[static_cast<std::size_t>(version)]);
  }
  head(out, "imdsgate_alerts_total", "counter", "Alerts written, by rule or reason.");
  by_name(out, "imdsgate_alerts_total", "rule", alerts_);
  head(out, "imdsgate_alerts_suppressed_total", "counter", "Alerts held back beyond max_alerts.");
  by_name(out, "imdsgate_alerts_suppressed_total", "rule", suppressed_);
  head(out, "imdsgate_unattributed_total", "counter", "Requests whose process could not be named.");
  by_reason(out, "imdsgate_unattributed_total", unattributed_, is_attribution);
  head(out, "imdsgate_refused_total", "counter",
       "Connections and requests ended by a limit, a deadline or a check.");
  by_reason(out, "imdsgate_refused_total", refused_,
            [](Reason reason) { return !is_upstream(reason) && !is_attribution(reason); });
  head(out, "imdsgate_upstream_errors_total", "counter", "Requests that the metadata service failed.");
  for (auto const &reason : reasons()) {
    if (!is_upstream(reason.reason)) continue;
    auto const kind = reason.name.substr(std::string_view("upstream_").size());
    sample(out, "imdsgate_upstream_errors_total", {{"kind", kind}}, upstream_errors_[index(reason.reason)]);
  }
  head(out, "imdsgate_added_seconds", "histogram", "From accept to the first byte sent upstream.");
  histogram(out, "imdsgate_added_seconds", std::nullopt, added_);
  head(out, "imdsgate_attribution_seconds", "histogram", "Time to name the process behind a connection.");
  histogram(out, "imdsgate_attribution_seconds", Label{"method", "sock_diag"}, attribution_[0]);
  histogram(out, "imdsgate_attribution_seconds", Label{"method", "peercred"}, attribution_[1]);
  histogram(out, "imdsgate_attribution_seconds", Label{"method", "bpf"}, attribution_[2]);
  head(out, "imdsgate_events_total", "counter", "Events handed to the sinks.");
  for (std::size_t i = 0; i < events_.size(); ++i) {
    sample(out, "imdsgate_events_total", {{"kind", to_label(static_cast<EventKindLabel>(i))}}, events_[i]);
  }
  head(out, "imdsgate_events_dropped_total", "counter", "Events that a sink could not take.");
  by_name(out, "imdsgate_events_dropped_total", "sink", dropped_);
  counter(out, "imdsgate_exec_events_lost_total", "Exec events the kernel could not deliver.",
          exec_events_lost_);
  counter(out, "imdsgate_firewall_drift_total", "Times the firewall's rules were found changed.",
          firewall_drift_);
  head(out, "imdsgate_older_connections_total", "counter",
       "Connections to guarded addresses that were older than the redirect.");
  sample(out, "imdsgate_older_connections_total", {{"result", "found"}}, older_[0]);
  sample(out, "imdsgate_older_connections_total", {{"result", "destroyed"}}, older_[1]);
  sample(out, "imdsgate_older_connections_total", {{"result", "kept"}}, older_[2]);
  counter(out, "imdsgate_prober_replaced_total", "Probers that hung or died and were replaced.",
          prober_replaced_);
  counter(out, "imdsgate_upstream_connections_reused_total", "Requests sent on a kept upstream connection.",
          upstream_reused_);
  head(out, "imdsgate_reloads_total", "counter", "Reloads of the configuration.");
  sample(out, "imdsgate_reloads_total", {{"result", "failed"}}, reloads_[0]);
  sample(out, "imdsgate_reloads_total", {{"result", "loaded"}}, reloads_[1]);
  head(out, "imdsgate_connections", "gauge", "Client connections open now.");
  sample(out, "imdsgate_connections", {}, connections_);
  head(out, "imdsgate_tokens", "gauge", "Session tokens of which it is known whom they were given to.");
  sample(out, "imdsgate_tokens", {}, tokens_[0]);
  counter(out, "imdsgate_tokens_refused_total", "Session tokens that are unknown because there was no room.",
          tokens_[1]);
  counter(out, "imdsgate_denied_tokens_forgotten_total",
          "Clients that were denied a session token and forgotten early, for want of room.",
          denied_tokens_forgotten_);
  counter(out, "imdsgate_rates_untracked_total",
          "Requests of processes too many to follow how often they ask.", rates_untracked_);
  render_container_lookups(out);
  render_rule_limits(out);
  head(out, "imdsgate_mode", "gauge", "1 for the mode that is on.");
  if (mode_) {
    sample(out, "imdsgate_mode", {{"mode", "audit"}}, *mode_ == Mode::audit ? 1 : 0);
    sample(out, "imdsgate_mode", {{"mode", "enforce"}}, *mode_ == Mode::enforce ? 1 : 0);
  }
  head(out, "imdsgate_build_info", "gauge", "Always 1; the labels say which build runs.");
  sample(out, "imdsgate_build_info", {{"version", version_}}, 1);
  return out;
}

}  // namespace imdsgate
