#include "report/ecs.hpp"
#include "report/ecs_fields.hpp"
#include "report/redact.hpp"

namespace imdsgate {
namespace {

// event.type of ECS: what the event says of the thing it is about.
std::string_view event_type(Lifecycle what) {
  switch (what) {
    case Lifecycle::started: return "start";
    case Lifecycle::stopped: return "end";
    case Lifecycle::mode_changed:
    case Lifecycle::reloaded:
    case Lifecycle::drift:
    case Lifecycle::armed:
    case Lifecycle::disarmed:
    case Lifecycle::prober_replaced:
    case Lifecycle::dialler_gone:
    case Lifecycle::existing_changed: return "change";
    case Lifecycle::reload_failed:
    case Lifecycle::exec_events_lost:
    case Lifecycle::self_loop: return "error";
    case Lifecycle::suppressed: return "info";
  }
  __builtin_unreachable();
}

std::string_view event_category(Lifecycle what) {
  switch (what) {
    case Lifecycle::started:
    case Lifecycle::stopped:
    case Lifecycle::exec_events_lost:
    case Lifecycle::prober_replaced:
    case Lifecycle::dialler_gone: return "process";
    case Lifecycle::mode_changed:
    case Lifecycle::reloaded:
    case Lifecycle::reload_failed:
    case Lifecycle::existing_changed: return "configuration";
    case Lifecycle::drift:
    case Lifecycle::armed:
    case Lifecycle::disarmed:
    case Lifecycle::self_loop: return "network";
    case Lifecycle::suppressed: return "intrusion_detection";
  }
  __builtin_unreachable();
}

bool failed(Lifecycle what) {
  return what == Lifecycle::reload_failed || what == Lifecycle::drift || what == Lifecycle::self_loop ||
         what == Lifecycle::exec_events_lost;
}

void write_event_fields(JsonWriter &json, LifecycleEvent const &event) {
  json.key("event").begin_object().member("kind", event.alert ? "alert" : "event");
  json.key("category").begin_array().value(event_category(event.what)).end_array();
  json.key("type").begin_array().value(event_type(event.what)).end_array();
  json.member("action", to_string(event.what)).member("outcome", failed(event.what) ? "failure" : "success");
  if (!event.id.empty()) json.member("id", event.id);
  if (event.alert) {
    json.member("severity", static_cast<int>(Severity::high));
    json.member("risk_score", static_cast<int>(Severity::high));
  }
  json.end_object();
}

}  // namespace

std::string to_ecs(LifecycleEvent const &event, HostInfo const &host) {
  std::string line;
  JsonWriter json(line);
  json.begin_object();
  write_head(json, event.time, host);
  write_event_fields(json, event);
  if (!event.message.empty()) json.member("message", redact_text(event.message));
  // Who asked is this event's user and process: the daemon itself is the observer, not the actor.
  if (event.actor_uid)
    json.key("user").begin_object().member("id", std::to_string(*event.actor_uid)).end_object();
  if (event.actor_pid) json.key("process").begin_object().member("pid", *event.actor_pid).end_object();
  json.key("imdsgate").begin_object().member("mode", to_string(event.mode));
  for (auto const &[key, value] : event.details) {
    // `mode` is the mode after the event, always; a detail of that name would make the key twofold.
    if (key != "mode" && !value.empty()) {
      json.member(key, names_a_secret(key) ? std::string(kRedacted) : redact_text(value));
    }
  }
  json.end_object().end_object();
  return line;
}

std::string alert_id(std::string_view request_event_id, bool partial) {
  // Not a secret and not a proof, only distinct: FNV-1a over the id with two offsets, as a version 8 UUID
  // (RFC 9562).
  auto const hash = [&](std::uint64_t state) {
    for (char const c : request_event_id) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    state = (state ^ (partial ? 'p' : 'a')) * 0x100000001b3u;
    state = (state ^ state >> 32) * 0x9e3779b97f4a7c15u;
    return state ^ state >> 29;
  };
  std::uint64_t const high = (hash(0xcbf29ce484222325u) & ~std::uint64_t{0xf000}) | 0x8000;
  std::uint64_t const low = (hash(0x84222325cbf29ce4u) & ~(std::uint64_t{3} << 62)) | std::uint64_t{2} << 62;
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (int i = 0; i < 32; ++i) {
    std::uint64_t const half = i < 16 ? high : low;
    if (i == 8 || i == 12 || i == 16 || i == 20) out += '-';
    out += digits[half >> (60 - 4 * (i % 16)) & 15];
  }
  return out;
}

}  // namespace imdsgate
