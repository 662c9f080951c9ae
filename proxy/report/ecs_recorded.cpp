#include "report/ecs_recorded.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <utility>

#include "report/ecs.hpp"
#include "report/ecs_fields.hpp"
#include "report/redact.hpp"

namespace imdsgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kDeepest = 512;  // as EventReader has it

// Both, as values of one field.
void join(json::value &to, json::value from) {
  if (!to.is_array()) to = json::array{std::move(to)};
  auto &values = to.get_array();
  if (!from.is_array()) {
    values.push_back(std::move(from));
    return;
  }
  for (auto &value : from.get_array()) values.push_back(std::move(value));
}

void put_whole(json::object &to, std::string_view key, json::value value) {
  auto *const there = to.if_contains(key);
  if (there == nullptr) {
    to.emplace(key, std::move(value));
  } else if (there->is_object() && value.is_object()) {
    for (auto &member : value.get_object())
      put_whole(there->get_object(), member.key(), std::move(member.value()));
  } else {
    join(*there, std::move(value));
  }
}

// Below the objects that the parts of `path` name; where something that is no object stands in the way, the
// rest of the path stays one key.
void put(json::object &to, std::string_view path, json::value value) {
  json::object *object = &to;
  for (auto dot = path.find('.'); dot != path.npos; dot = path.find('.')) {
    auto const key = path.substr(0, dot);
    auto *next = object->if_contains(key);
    if (next == nullptr) next = &object->emplace(key, json::object()).first->value();
    if (!next->is_object()) break;
    object = &next->get_object();
    path.remove_prefix(dot + 1);
  }
  put_whole(*object, path, std::move(value));
}

// `depth` levels down. A key with more parts than there may be levels stays as it is.
json::value nested(json::value const &value, std::size_t depth) {
  if (value.is_array()) {
    json::array result;
    for (auto const &item : value.get_array()) result.push_back(nested(item, depth + 1));
    return result;
  }
  if (!value.is_object()) return value;
  json::object result;
  for (auto const &member : value.get_object()) {
    std::string_view const key = member.key();
    auto const below = depth + 1 + static_cast<std::size_t>(std::ranges::count(key, '.'));
    if (below <= kDeepest) {
      put(result, key, nested(member.value(), below));
    } else {
      put_whole(result, key, nested(member.value(), depth + 1));
    }
  }
  return result;
}

json::value *find(json::object &object, std::string_view path) {
  auto const dot = path.find('.');
  auto *const value = object.if_contains(path.substr(0, dot));
  if (value == nullptr || dot == path.npos) return value;
  return value->is_object() ? find(value->get_object(), path.substr(dot + 1)) : nullptr;
}

json::value const *find(json::object const &object, std::string_view path) {
  return find(const_cast<json::object &>(object), path);
}

// The first value, as text; "" without one.
std::string text_at(json::object const &object, std::string_view path) {
  auto const *value = find(object, path);
  while (value != nullptr && value->is_array())
    value = value->get_array().empty() ? nullptr : &value->get_array().front();
  if (value == nullptr) return {};
  if (value->is_string()) return std::string(value->get_string());
  if (value->is_int64()) return std::to_string(value->get_int64());
  return value->is_uint64() ? std::to_string(value->get_uint64()) : std::string();
}

template <class Redact>
void redact_each(json::value &value, Redact redact) {
  if (value.is_string()) {
    value = redact(std::string_view(value.get_string()));
  } else if (value.is_array()) {
    for (auto &item : value.get_array()) redact_each(item, redact);
  }
}

void redact_vector(json::value &value) {
  std::vector<std::string> arguments;
  if (!value.is_array()) return;
  for (auto const &item : value.get_array()) {
    if (!item.is_string()) return redact_each(value, redact_text);
    arguments.emplace_back(item.get_string());
  }
  json::array redacted;
  for (auto const &argument : redact_arguments(arguments)) redacted.emplace_back(argument);
  value = std::move(redacted);
}

void redact_all(json::object &event) {
  for (auto const path : {"process.command_line", "process.parent.command_line", "user_agent.original"}) {
    if (auto *const value = find(event, path)) redact_each(*value, redact_text);
  }
  for (auto const path : {"process.args", "process.parent.args"}) {
    if (auto *const value = find(event, path)) redact_vector(*value);
  }
  // Others' events have a whole URL here, ours a request's target.
  auto const target = [](std::string_view text) {
    return text.starts_with('/') ? redact_target(text) : redact_text(text);
  };
  if (auto *const value = find(event, "url.original")) redact_each(*value, target);
  if (auto *const value = find(event, "url.path")) redact_each(*value, redact_path);
  if (auto *const value = find(event, "url.query")) redact_each(*value, redact_query);
}

void write(JsonWriter &out, json::value const &value);

void write(JsonWriter &out, json::object const &object) {
  out.begin_object();
  for (auto const &member : object) write(out.key(member.key()), member.value());
  out.end_object();
}

void write(JsonWriter &out, json::value const &value) {
  switch (value.kind()) {
    case json::kind::null: out.null(); return;
    case json::kind::bool_: out.value(value.get_bool()); return;
    case json::kind::int64: out.value(value.get_int64()); return;
    case json::kind::uint64: out.value(value.get_uint64()); return;
    case json::kind::double_: out.value(value.get_double()); return;
    case json::kind::string: out.value(std::string_view(value.get_string())); return;
    case json::kind::array:
      out.begin_array();
      for (auto const &item : value.get_array()) write(out, item);
      out.end_array();
      return;
    case json::kind::object: write(out, value.get_object()); return;
  }
}

std::string written_time(std::int64_t milliseconds) {
  return timestamp_of(
      std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(milliseconds)));
}

// What the alert says itself, under the names of the event's own fields; `event` and `imdsgate` are merged.
bool of_the_alert(std::string_view key) {
  return key == "rule" || key == "events" || key == "@timestamp" || key == "tags" || key == "threat" ||
         key == "message";
}

json::object event_fields(json::object const &event, RuleInfo const &rule) {
  json::object fields;
  if (auto const *const own = event.if_contains("event"); own != nullptr && own->is_object())
    fields = own->get_object();
  auto const id = text_at(event, "event.id");
  fields["kind"] = "alert";
  fields["severity"] = static_cast<int>(rule.severity);
  fields["risk_score"] = rule.risk_score;
  fields["reason"] = rule.id + ": " + rule.name;
  if (!id.empty()) fields["id"] = alert_id(id + '/' + rule.id);
  return fields;
}

}  // namespace

RecordedAlert::RecordedAlert(std::string_view line) {
  json::parse_options options;
  options.max_depth = kDeepest;
  json::error_code code;
  auto const value = json::parse(line, code, {}, options);
  if (!code && value.is_object()) event_ = std::move(nested(value, 0).get_object());
  executable_ = text_at(event_, "process.executable");
  user_ = text_at(event_, "user.id");
  path_class_ = text_at(event_, "imdsgate.path_class");
  process_ = text_at(event_, "process.entity_id");
  redact_all(event_);
}

AlertSubject RecordedAlert::subject(RuleInfo const &rule) const {
  AlertSubject subject;
  subject.name = rule.id;
  subject.max_alerts = rule.max_alerts;
  subject.interval = rule.interval;
  subject.executable = executable_;
  subject.user = user_;
  subject.path_class = path_class_;
  subject.process = process_;
  return subject;
}

std::string RecordedAlert::message(RuleInfo const &rule) const {
  std::string text = text_at(event_, "process.name");
  if (text.empty()) text = "an unnamed process";
  std::string who;
  for (auto const &[what, path] : {std::pair("pid ", "process.pid"), std::pair("uid ", "user.id")}) {
    auto const value = text_at(event_, path);
    if (!value.empty()) who.append(who.empty() ? "" : ", ").append(what).append(value);
  }
  if (!who.empty()) text.append(" (").append(who).append(")");
  auto const target = text_at(event_, "url.path");
  if (!target.empty()) text.append(" asked for ").append(target);
  return text.append(": ").append(rule.id).append(": ").append(rule.name);
}

std::string RecordedAlert::to_ecs(RuleInfo const &rule, std::span<std::uint64_t const> events,
                                  std::int64_t milliseconds) const {
  std::string line;
  line.reserve(3072);
  JsonWriter out(line);
  out.begin_object();
  write_rule_object(out, rule);
  out.key("events").begin_array();
  for (auto const event : events) out.value(event);
  out.end_array().member("@timestamp", written_time(milliseconds));
  write(out.key("event"), event_fields(event_, rule));
  auto const id = text_at(event_, "event.id");
  bool own = id.empty();  // imdsgate.request_event_id has been written
  for (auto const &member : event_) {
    if (of_the_alert(member.key()) || member.key() == "event") continue;
    if (!own && member.key() == "imdsgate" && member.value().is_object()) {
      auto fields = member.value().get_object();
      fields["request_event_id"] = id;
      write(out.key("imdsgate"), fields);
      own = true;
      continue;
    }
    write(out.key(member.key()), member.value());
  }
  if (!own && !event_.contains("imdsgate")) {
    out.key("imdsgate").begin_object().member("request_event_id", id).end_object();
  }
  write_tags_and_threat(out, rule);
  out.member("message", message(rule)).end_object();
  return line;
}

std::string to_ecs(RuleInfo const &rule, AlertLimiter::Summary const &summary) {
  auto const end = summary.end.time_since_epoch().count();
  auto const processes = std::to_string(summary.processes) + (summary.more_processes ? "+" : "");
  auto const seconds = std::chrono::duration_cast<std::chrono::seconds>(summary.interval).count();
  std::string line;
  JsonWriter out(line);
  out.begin_object();
  write_rule_object(out, rule);
  out.member("@timestamp", written_time(end));
  out.key("event").begin_object().member("kind", "alert");
  out.key("category").begin_array().value("intrusion_detection").end_array();
  out.key("type").begin_array().value("info").end_array();
  out.member("action", "suppressed").member("outcome", "success");
  out.member("severity", static_cast<int>(rule.severity)).member("risk_score", rule.risk_score).end_object();
  out.member("message", std::to_string(summary.suppressed) + " alerts of " + summary.name + " by " +
                            processes + " processes were held back within " + std::to_string(seconds) + " s");
  out.key("imdsgate").begin_object().member("suppressed_rule", summary.name);
  out.member("suppressed_count", std::to_string(summary.suppressed));
  out.member("suppressed_processes", processes);
  out.member("alerts_written", std::to_string(summary.emitted)).end_object().end_object();
  return line;
}

}  // namespace imdsgate
