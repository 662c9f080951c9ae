// What follows from who asks and what for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/process.hpp"
#include "model/reason.hpp"
#include "model/request.hpp"
#include "model/rule_info.hpp"

namespace imdsgate {

enum class Mode { audit, enforce };
enum class Verdict { allow, alert, block };  // rising strictness
enum class Action { forward, block };

std::string_view to_string(Mode);
std::string_view to_string(Verdict);
std::string_view to_string(Action);

// One thing that applied. Exactly one of `rule` and `reason` is set, or neither for a grant.
struct Finding {
  Verdict verdict = Verdict::allow;
  std::string name;                      // the rule's id, the policy entry's name, or the reason's name
  std::shared_ptr<RuleInfo const> rule;  // in truth a rules/rule.hpp Rule
  std::optional<Reason> reason;
  std::size_t holder = 0;  // index into Attribution::holders it is about
};

struct Decision {
  Verdict verdict = Verdict::allow;
  std::vector<Finding> findings;     // the one that decided first
  std::optional<std::string> grant;  // the allow entry that applied
  std::size_t requester = 0;         // which holder the event names: the one with the strictest finding
  int block_status = 403;            // 400 for an ambiguous target
};

// What decide() is asked. Borrowed for the call.
struct AccessRequest {
  MetadataRequest const &request;
  Attribution const *attribution;  // nullptr: unattributed, then `unattributed` is set
  std::optional<Reason> unattributed;
  std::string_view endpoint;  // "169.254.169.254:80", what the client dialled
  std::chrono::system_clock::time_point now;
};

}  // namespace imdsgate
