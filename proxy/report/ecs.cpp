#include "report/ecs.hpp"

#include <algorithm>

#include "report/ecs_fields.hpp"
#include "report/redact.hpp"

namespace imdsgate {
namespace {

using Names = std::vector<std::string_view>;

std::string_view outcome(RequestEvent const &event) {
  if (event.older) return *event.older == OlderConnection::kept ? "failure" : "success";
  if (event.action == Action::block || event.failure || event.status >= 400) return "failure";
  return event.status > 0 ? "success" : "unknown";  // unknown: still being answered
}

// The finding that decided, when one did: what `event.reason` and `imdsgate.reason` are about.
Finding const *deciding(RequestEvent const &event) {
  auto const &findings = event.decision.findings;
  return findings.empty() ? nullptr : &findings.front();
}

std::optional<Reason> ending(RequestEvent const &event) {
  return event.failure ? event.failure : event.unattributed;
}

std::string explain(Finding const &finding) {
  if (finding.rule) return finding.name + ": " + finding.rule->name;
  if (!finding.reason) return finding.name + ": granted";
  auto const &reason = info(*finding.reason);
  std::string text = finding.name;
  if (finding.name != reason.name) text.append(": ").append(reason.name);
  return text.append(": ").append(reason.text);
}

// The name and the text of why it went as it went; both empty for a request that nothing spoke against.
std::pair<std::string, std::string> reason(RequestEvent const &event) {
  Finding const *finding = deciding(event);
  if (finding != nullptr && (finding->verdict != Verdict::allow || !event.failure)) {
    return {finding->name, explain(*finding)};
  }
  auto const end = ending(event);
  if (!end) return {};
  auto const &why = info(*end);
  return {std::string(why.name), std::string(why.name).append(": ").append(why.text)};
}

void write_event_fields(JsonWriter &json, RequestEvent const &event, EventKind kind) {
  bool const alert = kind == EventKind::alert;
  bool const read = event.request || event.raw;
  json.key("event").begin_object().member("kind", alert ? "alert" : "event");
  json.key("category").begin_array();
  if (read) json.value("web");
  json.value("network").end_array();
  json.key("type").begin_array().value(read ? "access" : "connection");
  json.value(event.action == Action::block ? "denied" : "allowed").end_array();
  auto const about = event.older ? to_string(*event.older) : "connection_attempted";
  json.member("action", read ? "metadata_request" : about).member("outcome", outcome(event));
  if (!event.id.empty()) json.member("id", alert ? alert_id(event.id, event.partial) : event.id);
  if (event.duration.count() > 0) json.member("duration", event.duration.count());
  auto const text = reason(event).second;
  if (!text.empty()) json.member("reason", text);
  if (alert) {
    Finding const *finding = alert_finding(event.decision);
    bool const rule = finding != nullptr && finding->rule != nullptr;
    json.member("severity", static_cast<int>(rule ? finding->rule->severity : Severity::medium));
    json.member("risk_score", rule ? finding->rule->risk_score : static_cast<int>(Severity::medium));
  }
  json.end_object();
}

void write_http(JsonWriter &json, RequestEvent const &event) {
  if (!event.request && !event.raw && event.status == 0) return;
  json.key("http").begin_object();
  if (event.raw) json.member("version", event.raw->version == 10 ? "1.0" : "1.1");
  if (event.request || event.raw) {
    json.key("request").begin_object();
    auto const &method = event.request ? event.request->method : event.raw->method;
    if (!method.empty()) json.member("method", method);
    if (event.raw && !event.raw->header_bytes.empty()) {
      json.member("bytes", event.raw->header_bytes.size() + event.request_body_bytes);
    }
    json.key("body").begin_object().member("bytes", event.request_body_bytes).end_object().end_object();
  }
  if (event.status > 0) {
    json.key("response").begin_object().member("status_code", event.status);
    json.member("bytes", event.response_body_bytes);
    json.key("body").begin_object().member("bytes", event.response_body_bytes).end_object().end_object();
  }
  json.end_object();
}

// The Host without its port; an IPv6 address keeps its brackets (ECS, url.domain).
std::string domain(std::string_view host) {
  auto const colon = host.rfind(':');
  bool const port = colon != std::string_view::npos && host.find(':') == colon;
  auto const bracket = host.rfind(']');
  if (bracket != std::string_view::npos) return redact_text(host.substr(0, bracket + 1));
  return redact_text(port ? host.substr(0, colon) : host);
}

void write_url(JsonWriter &json, RequestEvent const &event) {
  std::string_view target;
  if (event.request) {
    target = event.request->target;
  } else if (event.raw) {
    target = event.raw->target;
  }
  if (target.empty()) return;
  json.key("url").begin_object().member("original", redact_target(target));
  if (event.request && !event.request->host.empty()) json.member("domain", domain(event.request->host));
  if (event.request && !event.request->path.empty()) json.member("path", redact_path(event.request->path));
  auto const mark = target.find('?');
  if (mark != std::string_view::npos && mark + 1 < target.size()) {
    json.member("query", redact_query(target.substr(mark + 1)));
  }
  json.end_object();
}

void write_user_agent(JsonWriter &json, RequestEvent const &event) {
  if (!event.raw) return;
  auto const agent = event.raw->field("User-Agent");
  if (!agent || agent->empty()) return;
  json.key("user_agent").begin_object().member("original", redact_text(*agent)).end_object();
}

void write_verdict(JsonWriter &json, RequestEvent const &event) {
  json.member("mode", to_string(event.mode)).member("verdict", to_string(event.decision.verdict));
  json.member("action", to_string(event.action));
  auto const name = reason(event).first;
  if (!name.empty()) json.member("reason", name);
  if (!event.decision.findings.empty()) {
    json.key("reasons").begin_array();
    bool rule = false, self = false;
    for (auto const &finding : event.decision.findings) {
      json.begin_object()
          .member("name", finding.name)
          .member("verdict", to_string(finding.verdict))
          .end_object();
      rule = rule || finding.rule;
      self = self || (finding.rule && (!finding.sequence || finding.sequence->self));
    }
    json.end_array();
    if (rule) json.member("rule_match", self ? "self" : "sibling");
  }
  if (event.decision.grant) json.member("grant", *event.decision.grant);
  if (event.failure) json.member("failure", name_of(*event.failure));
  if (event.partial) json.member("partial", true);
}

// What the alert is about, one event after the other: of a sibling's exec nothing else in the line speaks.
void write_sequence(JsonWriter &json, RequestEvent const &event) {
  Finding const *finding = alert_finding(event.decision);
  if (finding == nullptr || !finding->sequence) return;
  json.key("sequence").begin_array();
  for (auto const &each : finding->sequence->events) {
    json.begin_object().member("@timestamp", timestamp(each.time));
    json.key("event")
        .begin_object()
        .member("category", each.category)
        .member("action", each.action)
        .end_object();
    if (each.who) write_process_fields(json, *each.who);
    json.end_object();
  }
  json.end_array();
}

void write_token_use(JsonWriter &json, TokenUse const &token) {
  json.key("token").begin_object().member("use", to_string(token.kind));
  if (token.minter) {
    auto const &minter = token.minter->process;
    json.key("minted_by").begin_object().member("pid", minter.id.tgid);
    if (!minter.entity_id.empty()) json.member("entity_id", minter.entity_id);
    if (minter.executable) json.member("executable", minter.executable->path);
    json.key("user").begin_object().member("id", std::to_string(minter.effective_uid)).end_object();
    if (minter.unit) json.member("unit", *minter.unit);
    if (!minter.cgroup.empty()) json.member("cgroup", minter.cgroup);
    json.end_object();
  }
  json.end_object();
}

void write_credential(JsonWriter &json, Credential const &credential) {
  auto const member = [&](std::string_view name, std::optional<std::string> const &value) {
    if (value) json.member(name, *value);
  };
  json.key("credential").begin_object();
  member("access_key_id", credential.access_key_id);
  member("role_arn", credential.role_arn);
  member("service_account", credential.service_account);
  member("client_id", credential.client_id);
  member("resource", credential.resource);
  member("type", credential.type);
  member("expiration", credential.expiration);
  if (credential.unreadable) json.member("unreadable", true);
  json.end_object();
}

void write_own_fields(JsonWriter &json, RequestEvent const &event, EventKind kind) {
  json.key("imdsgate").begin_object();
  write_verdict(json, event);
  if (event.request) {
    json.member("path_class", to_string(event.request->path_class));
    json.member("path_known", event.request->path_known);
    if (event.request->api_version) json.member("api_version", redact_text(*event.request->api_version));
    json.member("provider", to_string(event.request->provider));
    if (event.request->imds_version) json.member("imds_version", to_string(*event.request->imds_version));
    if (event.request->ambiguous) json.member("ambiguous_target", true);
  }
  if (event.credential) write_credential(json, *event.credential);
  if (event.decision.token) write_token_use(json, *event.decision.token);
  if (event.flow.transport == Transport::unix_socket) json.member("listener", "unix");
  if (kind == EventKind::alert && !event.id.empty()) json.member("request_event_id", event.id);
  write_attribution(json, event);
  if (kind == EventKind::alert) write_sequence(json, event);
  if (Lineage const *lineage = requester(event)) write_own_process_fields(json, *lineage);
  json.end_object();
}

std::string message(RequestEvent const &event) {
  std::string text;
  if (Lineage const *lineage = requester(event)) {
    auto const &process = lineage->process;
    text = process.name().value_or("a process without a readable executable");
    text +=
        " (pid " + std::to_string(process.id.tgid) + ", uid " + std::to_string(process.effective_uid) + ")";
  } else {
    text = "An unattributed client";
  }
  if (event.request) {
    text += " asked for " + event.request->method + ' ' + redact_path(event.request->path);
  } else {
    text += event.older ? " has a connection that goes past the gateway" : " made a connection";
  }
  if (event.older) {
    text += *event.older == OlderConnection::kept ? ", which could not be destroyed" : ", destroyed";
  } else {
    text += event.action == Action::block ? ", blocked" : ", forwarded";
  }
  if (Finding const *finding = alert_finding(event.decision)) text += ": " + explain(*finding);
  return text;
}

void write_alert(JsonWriter &json, RequestEvent const &event) {
  json.member("message", message(event));
  Finding const *finding = alert_finding(event.decision);
  if (finding != nullptr && finding->rule != nullptr) write_rule(json, *finding->rule);
}

}  // namespace

Finding const *alert_finding(Decision const &decision) {
  Finding const *first = nullptr;
  for (auto const &finding : decision.findings) {
    if (finding.verdict == Verdict::allow) continue;
    if (finding.rule) return &finding;
    if (first == nullptr) first = &finding;
  }
  return first;
}

Lineage const *requester(RequestEvent const &event) {
  if (!event.attribution || event.unattributed) return nullptr;
  auto const &holders = event.attribution->holders;
  return event.decision.requester < holders.size() ? holders[event.decision.requester].get() : nullptr;
}

std::string to_ecs(RequestEvent const &event, HostInfo const &host, EventKind kind) {
  std::string line;
  line.reserve(3072);
  JsonWriter json(line);
  json.begin_object();
  write_head(json, event.time, host);
  write_event_fields(json, event, kind);
  if (Lineage const *lineage = requester(event)) write_process_fields(json, *lineage);
  write_network(json, event.flow, event.request || event.raw);
  write_http(json, event);
  write_url(json, event);
  write_user_agent(json, event);
  write_own_fields(json, event, kind);
  if (kind == EventKind::alert) write_alert(json, event);
  json.end_object();
  return line;
}

}  // namespace imdsgate
