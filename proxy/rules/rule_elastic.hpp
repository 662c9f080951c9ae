// The two forms in which Elastic's detection rules travel: Kibana's export and the TOML of the public
// repository. The rule's keys are the same in both
// (https://www.elastic.co/guide/en/security/current/rules-api-create.html). Pure.
//
// Used: rule_id, name, query, description, version, severity, risk_score, interval, from, max_signals, tags,
// references, threat. `type` and `language` have to be eql. What these formats do not have (action,
// live_exec, block_on) is as in a YAML rule without it. Checked, as they change what a rule matches:
// event_category_override and timestamp_field other than ours are errors; filters, exceptions_list and
// tiebreaker_field are not applied, which is a warning when they are there and not empty. Ignored by name:
// see the list in rule_elastic.cpp. Any other key is an error at its place.
#pragma once

#include "rules/load_rules.hpp"

namespace imdsgate {

RuleFiles load_kibana_export(std::string_view text, std::string const &file);
RuleFiles load_repository_toml(std::string_view text, std::string const &file);

}  // namespace imdsgate
