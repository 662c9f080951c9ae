// The parts of an ECS line that several kinds of event share. Each writes members into the object that is
// open.
#pragma once

#include <chrono>

#include "model/event.hpp"
#include "report/json_writer.hpp"

namespace imdsgate {

inline std::string_view name_of(Reason reason) {
  return info(reason).name;
}

// RFC 3339 in UTC with milliseconds, floored: "2026-11-24T03:58:00.123Z".
// Years 0 to 9999.
std::string timestamp(std::chrono::system_clock::time_point time);
std::string timestamp_of(std::chrono::sys_time<std::chrono::milliseconds> time);

void write_head(JsonWriter &json, std::chrono::system_clock::time_point time, HostInfo const &host);
void write_network(JsonWriter &json, Flow const &flow, bool http);

void write_process_fields(JsonWriter &json, Lineage const &lineage);  // process, user, group, container
void write_own_process_fields(JsonWriter &json,
                              Lineage const &lineage);  // below imdsgate: claimed, proven, ancestry
void write_attribution(JsonWriter &json, RequestEvent const &event);  // imdsgate.attribution

void write_rule(JsonWriter &json, RuleInfo const &rule);  // rule, tags, threat: the two that follow
void write_rule_object(JsonWriter &json, RuleInfo const &rule);
void write_tags_and_threat(JsonWriter &json, RuleInfo const &rule);

}  // namespace imdsgate
