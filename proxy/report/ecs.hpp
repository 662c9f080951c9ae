// Events as lines of JSON in the Elastic Common Schema 8 (interfaces §4). Pure. Each call returns one line of
// strict JSON without its newline; every field that is not ECS lives under `imdsgate.`; what is missing is
// left out, never written as "", 0 or a word; arguments, targets and user agents are redacted.
//
// Which numbers count what: http.request.bytes is the header and the body, http.request.body.bytes the body
// alone; http.response.bytes and .body.bytes are both the body, as the header upstream sent is not kept.
//
// An alert is about the request's first finding that names a rule, which gives rule.*, event.severity, tags
// and threat. When no finding does (nobody could be named, a class's default, a limit), rule.* is absent,
// event.reason says why and the severity is medium.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "model/event.hpp"

namespace imdsgate {

enum class EventKind { event, alert };

std::string to_ecs(RequestEvent const &event, HostInfo const &host, EventKind kind);
std::string to_ecs(LifecycleEvent const &event, HostInfo const &host);

// The event.id of the alert that a request's event has, known before either is written: a denial's body names
// it. The early, partial alert of the same request has another, so that neither replaces the other in a
// store.
std::string alert_id(std::string_view request_event_id, bool partial = false);

// The finding an alert is about: the first strict one with a rule, else the first strict one; nullptr when
// none is stricter than allow.
Finding const *alert_finding(Decision const &decision);

// The holder an event names; nullptr: unattributed.
Lineage const *requester(RequestEvent const &event);

}  // namespace imdsgate
