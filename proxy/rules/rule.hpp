// A detection rule, loaded and compiled (interfaces §3).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/decision.hpp"
#include "model/rule_info.hpp"
#include "rules/eql.hpp"

namespace imdsgate {

std::string_view to_string(Severity);
int event_severity(Severity);

struct Rule : RuleInfo {
  Verdict action = Verdict::alert;  // alert or block
  bool live_exec = true;
  enum class BlockOn { self, any } block_on = BlockOn::self;
  eql::RuleQuery query;
  std::string query_text;
};

struct RuleFile {
  std::shared_ptr<Rule const> rule;  // nullptr when problems has an error
  std::vector<Problem> problems;     // all of them, warnings too
};

// `text` is the file's content (pure: the caller reads it); `file` names it in problems. Strict: an unknown
// key, a wrong type, a duplicate key, an unknown enum value is an error with its line and column, also inside
// the query. Never throws.
//
// Keys: the required `id`, `name`, `query`; `version` (from 1), `severity` (low, medium, high, critical),
// `risk_score` (0 to 100), `interval` (1s to 1d), `from` (now or now-DURATION), `max_alerts` (from 1),
// `action` (alert, block), `live_exec`, `block_on` (self, any), `description`, `references`, `tags`, and
// `threat`, a list of {framework, tactic: {id, name, reference}, technique: [{id, name, reference,
// subtechnique: […]}]}. Checked for their type and otherwise unused: `false_positives`, `author` (lists of
// texts), `note`, `license`.
RuleFile load_rule(std::string_view text, std::string const &file);

}  // namespace imdsgate
