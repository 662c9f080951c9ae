#include "report/ecs_fields.hpp"

namespace imdsgate {
namespace {

void write_endpoint(JsonWriter &json, std::string_view name, Endpoint const &endpoint) {
  json.key(name).begin_object().member("ip", endpoint.address.to_string());
  if (endpoint.port != 0) json.member("port", endpoint.port);
  json.end_object();
}

void append_digits(std::string &out, unsigned number, int width) {
  char digits[4];
  for (int i = width - 1; i >= 0; --i, number /= 10) digits[i] = static_cast<char>('0' + number % 10);
  out.append(digits, static_cast<std::size_t>(width));
}

void write_techniques(JsonWriter &json, std::vector<ThreatTechnique const *> const &techniques) {
  auto const column = [&](std::string_view name, std::string ThreatTechnique::*field) {
    json.key(name).begin_array();
    for (auto const *technique : techniques) {
      if (!(technique->*field).empty()) json.value(technique->*field);
    }
    json.end_array();
  };
  column("id", &ThreatTechnique::id);
  column("name", &ThreatTechnique::name);
  column("reference", &ThreatTechnique::reference);
}

void write_tactics(JsonWriter &json, std::vector<Threat> const &threats) {
  json.key("tactic").begin_object();
  auto const column = [&](std::string_view name, std::string Threat::*field) {
    json.key(name).begin_array();
    for (auto const &threat : threats) {
      if (!(threat.*field).empty()) json.value(threat.*field);
    }
    json.end_array();
  };
  column("id", &Threat::tactic_id);
  column("name", &Threat::tactic_name);
  column("reference", &Threat::tactic_reference);
  json.end_object();
}

void write_threat(JsonWriter &json, std::vector<Threat> const &threats) {
  std::vector<ThreatTechnique const *> techniques, subtechniques;
  for (auto const &threat : threats) {
    for (auto const &technique : threat.techniques) {
      techniques.push_back(&technique);
      for (auto const &subtechnique : technique.subtechniques) subtechniques.push_back(&subtechnique);
    }
  }
  json.key("threat").begin_object();
  if (!threats.front().framework.empty()) json.member("framework", threats.front().framework);
  write_tactics(json, threats);
  if (!techniques.empty()) {
    json.key("technique").begin_object();
    write_techniques(json, techniques);
    if (!subtechniques.empty()) {
      json.key("subtechnique").begin_object();
      write_techniques(json, subtechniques);
      json.end_object();
    }
    json.end_object();
  }
  json.end_object();
}

}  // namespace

std::string timestamp(std::chrono::system_clock::time_point time) {
  return timestamp_of(std::chrono::floor<std::chrono::milliseconds>(time));
}

std::string timestamp_of(std::chrono::sys_time<std::chrono::milliseconds> millis) {
  using namespace std::chrono;
  auto const day = floor<days>(millis);
  year_month_day const date{day};
  hh_mm_ss const clock{millis - day};
  std::string out;
  append_digits(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  append_digits(out, static_cast<unsigned>(clock.hours().count()), 2);
  out += ':';
  append_digits(out, static_cast<unsigned>(clock.minutes().count()), 2);
  out += ':';
  append_digits(out, static_cast<unsigned>(clock.seconds().count()), 2);
  out += '.';
  append_digits(out, static_cast<unsigned>(clock.subseconds().count()), 3);
  out += 'Z';
  return out;
}

void write_head(JsonWriter &json, std::chrono::system_clock::time_point time, HostInfo const &host) {
  json.member("@timestamp", timestamp(time));
  json.key("ecs").begin_object().member("version", "8.11.0").end_object();
  json.key("host").begin_object();
  if (!host.id.empty()) json.member("id", host.id);
  if (!host.name.empty()) json.member("name", host.name);
  json.key("os").begin_object().member("type", "linux").end_object().end_object();
  json.key("cloud").begin_object().member("provider", cloud_provider(host.provider)).end_object();
}

void write_network(JsonWriter &json, Flow const &flow, bool http) {
  bool const tcp = flow.transport == Transport::tcp;
  if (tcp) write_endpoint(json, "source", flow.client);
  if (flow.original.port != 0) write_endpoint(json, "destination", flow.original);
  if (!flow.bridge.empty()) {
    json.key("observer").begin_object().key("ingress").begin_object().key("interface").begin_object();
    json.member("name", flow.bridge).end_object().end_object().end_object();
  }
  json.object("network", [&] {
    if (tcp) json.member("transport", "tcp").member("type", flow.original.address.is_v4() ? "ipv4" : "ipv6");
    if (http) json.member("protocol", "http");
  });
}

void write_rule(JsonWriter &json, RuleInfo const &rule) {
  write_rule_object(json, rule);
  write_tags_and_threat(json, rule);
}

void write_rule_object(JsonWriter &json, RuleInfo const &rule) {
  json.key("rule").begin_object().member("id", rule.id);
  if (!rule.name.empty()) json.member("name", rule.name);
  json.member("version", std::to_string(rule.version));
  if (!rule.description.empty()) json.member("description", rule.description);
  if (!rule.references.empty()) json.member("reference", rule.references.front());
  json.end_object();
}

void write_tags_and_threat(JsonWriter &json, RuleInfo const &rule) {
  if (!rule.tags.empty()) {
    json.key("tags").begin_array();
    for (auto const &tag : rule.tags) json.value(tag);
    json.end_array();
  }
  if (!rule.threat.empty()) write_threat(json, rule.threat);
}

}  // namespace imdsgate
