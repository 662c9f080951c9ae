#include "gateway/status.hpp"

#include <unistd.h>

#include <boost/json/value_from.hpp>

#include "attribute/pid_namespace.hpp"
#include "gateway/own_cgroup.hpp"
#include "report/ecs_fields.hpp"

namespace imdsgate {

namespace json = boost::json;

json::object status_of(StatusSources const &sources) {
  auto const &[gateway, interception, tier, reporter, settings, host_rules, exec_events, execs, started] = sources;
  json::object reply;
  reply["version"] = IMDSGATE_VERSION;
  reply["mode"] = to_string(gateway.mode());
  reply["provider"] = to_string(settings.provider);
  reply["pid"] = ::getpid();
  reply["uid"] = ::geteuid();
  reply["cgroup"] = own_cgroup().value_or("");
  reply["redirect"] = interception.redirecting();
  reply["fence"] = interception.fenced();
  reply["exec_events"] = exec_events;
  reply["attribution"] = tier.name();
  if (!tier.why_not_bpf().empty()) reply["attribution_not_bpf"] = tier.why_not_bpf();
  if (auto const unseen = what_is_not_seen(); !unseen.empty()) reply["attribution_not_seen"] = unseen;
  if (auto const *bpf = tier.bpf()) {
    auto const &counts = bpf->counters();
    auto const kernel = bpf->connections().counters();
    reply["attributions"] = json::object{{"by_kernel", counts.by_kernel},   {"described", counts.described},
                                         {"gone", counts.gone},             {"by_prober", counts.by_prober},
                                         {"disagreed", counts.disagreed},   {"forgotten", kernel.forgotten},
                                         {"recorded", kernel.recorded},     {"over_quota", kernel.refused_quota},
                                         {"no_room", kernel.refused_full},
                                         {"not_recorded", counts.not_recorded}};
  }
  json::array denials, left_out;
  for (auto const &denial : host_rules.denials) denials.emplace_back(denial.to_string());
  for (auto const &endpoint : host_rules.left_out) left_out.emplace_back(endpoint.to_string());
  if (!denials.empty()) reply["existing"] = std::move(denials);
  if (!left_out.empty()) reply["not_guarded"] = std::move(left_out);
  reply["listening"] = json::value_from(interception.listening());
  reply["connections"] = gateway.sessions();
  reply["upstream_connections"] = gateway.pool().open();
  reply["uptime_seconds"] =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - started).count();
  auto const limits = execs.limits();
  reply["pending_sequences"] = limits.pending_sequences;
  reply["rule_limits"] = json::object{{"sequences", limits.sequences}, {"join_keys", limits.join_keys},
                                      {"values", limits.values},       {"execs", limits.execs},
                                      {"processes", limits.processes}};
  json::object dropped;
  for (auto const &sink : reporter.sinks()) dropped[sink->name()] = sink->dropped();
  reply["events_dropped"] = std::move(dropped);
  return reply;
}

json::object unknown_paths_of(Reporter const &reporter) {
  json::array paths;
  for (auto const &each : reporter.unknown_paths().most_asked_first()) {
    json::object entry{{"provider", to_string(each.provider)}, {"method", each.method}, {"path", each.path},
                       {"count", each.count},                  {"last", timestamp(each.last)}};
    if (!each.last_by.empty()) entry["last_by"] = each.last_by;
    paths.push_back(std::move(entry));
  }
  return {{"paths", std::move(paths)}, {"forgotten", reporter.unknown_paths().forgotten()}};
}

}  // namespace imdsgate
