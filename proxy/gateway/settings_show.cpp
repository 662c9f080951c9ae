#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <ctime>

#include "gateway/settings.hpp"
#include "gateway/settings_words.hpp"
#include "rules/rule.hpp"

namespace imdsgate {
namespace {

using YAML::BeginMap;
using YAML::BeginSeq;
using YAML::EndMap;
using YAML::EndSeq;
using YAML::Key;

// A word of the configuration or a number: never quoted, or it would be read as a text.
void bare(YAML::Emitter &out, char const *key, std::string_view word) {
  out << Key << key << YAML::Value << YAML::Auto << std::string(word);
}

void text(YAML::Emitter &out, char const *key, std::string const &value) {
  out << Key << key << YAML::Value << YAML::DoubleQuoted << value;
}

void number(YAML::Emitter &out, char const *key, std::uint64_t value) {
  out << Key << key << YAML::Value << value;
}

void duration(YAML::Emitter &out, char const *key, milliseconds value) {
  bare(out, key, std::to_string(value.count()) + "ms");
}

std::string hexadecimal(std::uint32_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  for (; value != 0; value >>= 4) digits.insert(digits.begin(), kDigits[value & 15]);
  return "0x" + (digits.empty() ? "0" : digits);
}

std::string rfc3339(std::chrono::system_clock::time_point time) {
  auto const seconds = std::chrono::floor<std::chrono::seconds>(time);
  auto const whole = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  gmtime_r(&whole, &parts);
  char date[32] = {};
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  auto const rest = std::chrono::duration_cast<std::chrono::nanoseconds>(time - seconds).count();
  if (rest == 0) return std::string(date) + 'Z';
  auto const digits = std::to_string(rest);
  return std::string(date) + '.' + std::string(9 - digits.size(), '0') + digits + 'Z';
}

void strings(YAML::Emitter &out, char const *key, std::vector<std::string> const &values) {
  out << Key << key << YAML::Value << YAML::Flow << BeginSeq;
  for (auto const &value : values) out << YAML::DoubleQuoted << value;
  out << EndSeq;
}

void show_classes(YAML::Emitter &out, std::array<std::optional<Verdict>, 6> const &classes) {
  out << Key << "classes" << YAML::Value << BeginMap;
  for (auto const &[word, path_class] : kClasses) {
    bare(out, word.data(), word_for(kVerdicts, classes[index(path_class)]));
  }
  out << EndMap;
}

void show_query(YAML::Emitter &out, std::vector<QueryCondition> const &query) {
  out << Key << "query" << YAML::Value << YAML::Block << BeginMap;
  for (auto const &[key, values] : query) {
    out << Key << YAML::DoubleQuoted << key << YAML::Value << YAML::Flow << BeginSeq;
    for (auto const &value : values) out << YAML::DoubleQuoted << value;
    out << EndSeq;
  }
  out << EndMap;
}

void show_endpoints(YAML::Emitter &out, std::vector<EntryEndpoint> const &endpoints) {
  out << Key << "endpoints" << YAML::Value << YAML::Flow << BeginSeq;
  for (auto const &each : endpoints) {
    out << BeginMap;
    text(out, "address", each.address.to_string());
    if (each.port) number(out, "port", *each.port);
    out << EndMap;
  }
  out << EndSeq;
}

void endpoint(YAML::Emitter &out, Endpoint const &value, EndpointChoices const &own = {}) {
  out << YAML::Flow << BeginMap;
  text(out, "address", value.address.to_string());
  number(out, "port", value.port);
  if (own.provider) bare(out, "provider", to_string(*own.provider));
  if (!own.hosts.empty()) strings(out, "hosts", own.hosts);
  bool const classes =
      std::ranges::any_of(own.classes, [](auto const &verdict) { return verdict.has_value(); });
  if (classes) show_classes(out, own.classes);
  if (own.unknown) bare(out, "unknown", word_for(kVerdicts, own.unknown));
  out << EndMap;
}

void show_entries(YAML::Emitter &out, char const *key, std::vector<PolicyEntry> const &entries) {
  out << Key << key << YAML::Value << BeginSeq;
  for (auto const &entry : entries) {
    if (!entry.profile.empty()) continue;
    out << YAML::Block << BeginMap;
    text(out, "name", entry.name);
    if (entry.when) text(out, "when", entry.when_text);
    if (!entry.methods.empty()) strings(out, "methods", entry.methods);
    if (!entry.paths.empty()) strings(out, "paths", entry.paths);
    if (!entry.query.empty()) show_query(out, entry.query);
    if (!entry.endpoints.empty()) show_endpoints(out, entry.endpoints);
    if (entry.allow_imdsv1) bare(out, "imdsv1", "allow");
    if (entry.allow_foreign_token) bare(out, "token_binding", "allow");
    if (entry.expires) bare(out, "expires", rfc3339(*entry.expires));
    if (!entry.note.empty()) text(out, "note", entry.note);
    out << EndMap;
  }
  out << EndSeq;
}

// By name, as they are read again; what they give is told beside them.
void show_profiles(YAML::Emitter &out, Configuration const &configuration) {
  out << Key << "profiles" << YAML::Value << BeginSeq;
  for (auto const &[name, parameters] : configuration.profiles) {
    out << YAML::Flow << BeginMap;
    text(out, "name", name);
    for (auto const &[key, value] : parameters) text(out, key.c_str(), value);
    out << EndMap;
    std::string gives;
    for (auto const &entry : configuration.choices.allow) {
      if (entry.profile == name) gives += (gives.empty() ? "" : ", ") + entry.name;
    }
    out << YAML::Comment(gives);
  }
  out << EndSeq;
}

void show_sinks(YAML::Emitter &out, std::vector<SinkSettings> const &sinks) {
  out << Key << "sinks" << YAML::Value << BeginSeq;
  for (auto const &sink : sinks) {
    out << YAML::Flow << BeginMap;
    bare(out, "type", word_for(kSinkTypes, sink.type));
    if (sink.type == SinkSettings::Type::file) {
      text(out, "path", sink.path);
      number(out, "max_size", sink.max_size);
      number(out, "keep", sink.keep);
    }
    if (sink.type == SinkSettings::Type::syslog) text(out, "address", sink.address);
    bare(out, "only", sink.alerts_only ? "alerts" : "all");
    out << EndMap;
  }
  out << EndSeq;
}

void show_endpoints(YAML::Emitter &out, Configuration const &configuration) {
  out << Key << "endpoints" << YAML::Value << BeginSeq;
  auto const &particular = configuration.choices.particular;
  for (auto const &each : configuration.settings.endpoints) {
    auto const own = particular.find(each);
    endpoint(out, each, own == particular.end() ? EndpointChoices{} : own->second);
  }
  out << EndSeq;
}

void show_listeners(YAML::Emitter &out, Settings const &settings) {
  out << Key << "listen" << YAML::Value << YAML::Flow << BeginMap;
  number(out, "port", settings.listen_port);
  if (settings.listen_unix) text(out, "unix", *settings.listen_unix);
  out << EndMap;
  out << Key << "control" << YAML::Value << YAML::Flow << BeginMap;
  text(out, "socket", settings.control_socket);
  if (settings.control_group) text(out, "group", *settings.control_group);
  out << EndMap;
  out << Key << "upstream" << YAML::Value << YAML::Flow << BeginMap;
  duration(out, "connect_timeout", settings.connect_timeout);
  duration(out, "idle_timeout", settings.idle_timeout);
  out << EndMap;
}

void show_firewall(YAML::Emitter &out, Settings const &settings) {
  bare(out, "on_stop", word_for(kOnStops, settings.on_stop));
  bare(out, "existing", word_for(kExistings, settings.existing));
  if (settings.existing == Existing::translate) out << YAML::Comment("intercept status says what it comes to on this host");
  bare(out, "firewall_backend", word_for(kBackends, settings.backend));
  bare(out, "attribution", word_for(kAttributionChoices, settings.attribution));
  out << Key << "upstream_mark" << YAML::Value << YAML::Flow << BeginMap;
  bare(out, "mark", hexadecimal(settings.mark));
  bare(out, "mask", hexadecimal(settings.mark_mask));
  out << EndMap;
}

void show_containers(YAML::Emitter &out, Configuration const &configuration) {
  auto const &[bridges, runtime] = std::tie(configuration.settings.bridges, configuration.settings.container_runtime);
  if (bridges.empty() && !runtime) return;
  out << Key << "containers" << YAML::Value << YAML::Flow << BeginMap;
  if (!bridges.empty()) strings(out, "bridges", bridges);
  if (runtime) {
    text(out, "runtime", *runtime);
    bare(out, "runtime_api", word_for(kContainerApis, configuration.settings.container_api));
  }
  if (auto const limit = configuration.choices.hop_limit) number(out, "hop_limit", *limit);
  out << EndMap;
}

void show_imdsv1(YAML::Emitter &out, PolicyChoices const &choices) {
  auto const &[block_from, except] = choices.imdsv1_exceptions;
  auto const word = word_for(kVerdicts, choices.imdsv1);
  if (!block_from && except.empty()) return bare(out, "imdsv1", word);
  out << Key << "imdsv1" << YAML::Value << YAML::Block << BeginMap;
  bare(out, "default", word);
  if (block_from) bare(out, "block_from", rfc3339(*block_from));
  if (!except.empty()) strings(out, "except", except);
  out << EndMap;
}

void show_ec2(YAML::Emitter &out, PolicyChoices const &choices) {
  out << Key << "ec2" << YAML::Value << YAML::Block << BeginMap;
  show_imdsv1(out, choices);
  auto const &binding = choices.token_binding;
  bare(out, "token_binding", word_for(kTokenBindings, binding.verdict));
  if (binding.verdict) {
    bare(out, "scope", word_for(kTokenScopes, binding.scope));
    out << Key << "share" << YAML::Value << BeginSeq;
    for (auto const &group : binding.share) {
      out << YAML::Flow << BeginSeq;
      for (auto const &member : group) out << YAML::DoubleQuoted << member;
      out << EndSeq;
    }
    out << EndSeq;
  }
  out << EndMap;
}

void show_policy(YAML::Emitter &out, Configuration const &configuration) {
  auto const &choices = configuration.choices;
  bare(out, "unattributed", word_for(kVerdicts, choices.unattributed));
  if (configuration.rule_files) {
    std::vector<std::string> files;
    for (auto const &file : *configuration.rule_files) files.push_back(file.string());
    strings(out, "rules", files);
  } else {
    std::string shipped = "no rules: the shipped one is used";
    for (auto const &rule : choices.rules) shipped += ", " + rule->id;
    out << YAML::Comment(shipped) << YAML::Newline;
  }
  bare(out, "unknown", word_for(kVerdicts, choices.unknown));
  out << YAML::Block;
  show_classes(out, choices.classes);
  show_ec2(out, choices);
  show_entries(out, "allow", choices.allow);
  show_entries(out, "deny", choices.deny);
  show_profiles(out, configuration);
}

void show_limits(YAML::Emitter &out, Limits const &limits) {
  out << Key << "limits" << YAML::Value << YAML::Block << BeginMap;
  number(out, "connections", limits.connections);
  number(out, "connections_per_uid", limits.connections_per_uid);
  if (limits.requests_per_second) number(out, "requests_per_second", *limits.requests_per_second);
  number(out, "header_bytes", limits.header_bytes);
  number(out, "body_bytes", limits.body_bytes);
  duration(out, "header_timeout", limits.header_timeout);
  duration(out, "attribution_timeout", limits.attribution_timeout);
  out << EndMap;
}
}  // namespace

std::string show(Configuration const &configuration) {
  auto const &settings = configuration.settings;
  YAML::Emitter out;
  out << BeginMap;
  bare(out, "mode", to_string(settings.mode));
  bare(out, "provider", settings.provider_known ? to_string(settings.provider) : "auto");
  show_endpoints(out, configuration);
  show_listeners(out, settings);
  show_firewall(out, settings);
  show_containers(out, configuration);
  show_policy(out, configuration);
  show_sinks(out, settings.sinks);
  if (settings.metrics) {
    out << Key << "metrics" << YAML::Value;
    endpoint(out, *settings.metrics);
  }
  show_limits(out, settings.limits);
  out << EndMap;
  return std::string(out.c_str()) + '\n';
}

}  // namespace imdsgate
