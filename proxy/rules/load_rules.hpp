// A rule file of any form (interfaces §3).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "rules/rule.hpp"

namespace imdsgate {

struct RuleFiles {
  std::vector<std::shared_ptr<Rule const>> rules;  // those that have no error
  std::vector<Problem> problems;                   // all of them, warnings too
  bool ok() const;                                 // no error
};

// `text` is the file's content, `file` its name. The form is chosen by the name's end, else by the content:
// - .yaml, .yml: our own (rule.hpp), one rule.
// - .toml: the public detection rules' repository; one rule, in [rule].
// - .ndjson, .jsonl, .json: exported from Kibana; a JSON object a rule, any number. The export's summary,
// exception lists
//   and connectors among them are passed over.
// - any other name: JSON when `{` is the first character that is no white space, TOML when a line begins with
// [rule] or
//   [metadata], else YAML.
// Two rules of one id are an error. Pure; never throws.
RuleFiles load_rules(std::string_view text, std::string const &file);

}  // namespace imdsgate
