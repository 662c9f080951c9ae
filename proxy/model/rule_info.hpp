// What a detection rule says of itself, without its query: what an alert carries (interfaces §4).
// rules/rule.hpp adds what is evaluated.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace imdsgate {

enum class Severity { low = 21, medium = 47, high = 73, critical = 99 };  // the value is ECS event.severity

struct ThreatTechnique {
  std::string id, name, reference;
  std::vector<ThreatTechnique> subtechniques;
};
struct Threat {
  std::string framework;
  std::string tactic_id, tactic_name, tactic_reference;
  std::vector<ThreatTechnique> techniques;
};

struct RuleInfo {
  std::string id;
  std::string name;
  std::string description;
  int version = 1;
  Severity severity = Severity::low;
  int risk_score = 21;
  std::chrono::milliseconds interval = std::chrono::minutes(5);
  std::string from;
  int max_alerts = 100;  // per interval; negative: no limit
  std::vector<std::string> tags;
  std::vector<std::string> references;
  std::vector<Threat> threat;
};

}  // namespace imdsgate
