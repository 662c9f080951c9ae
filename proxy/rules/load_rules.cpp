#include "rules/load_rules.hpp"

#include <algorithm>

#include "rules/rule_elastic.hpp"

namespace imdsgate {
namespace {

enum class Form { yaml, toml, json };

bool line_begins_with(std::string_view text, std::string_view start) {
  if (text.starts_with(start)) return true;
  return text.find('\n' + std::string(start)) != text.npos;
}

Form form_of(std::string_view text, std::string_view file) {
  if (file.ends_with(".yaml") || file.ends_with(".yml")) return Form::yaml;
  if (file.ends_with(".toml")) return Form::toml;
  if (file.ends_with(".ndjson") || file.ends_with(".jsonl") || file.ends_with(".json")) return Form::json;
  auto const first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] == '{') return Form::json;
  if (line_begins_with(text, "[rule]") || line_begins_with(text, "[metadata]")) return Form::toml;
  return Form::yaml;
}

RuleFiles load_yaml(std::string_view text, std::string const &file) {
  RuleFiles result;
  auto loaded = load_rule(text, file);
  if (loaded.rule) result.rules.push_back(std::move(loaded.rule));
  result.problems = std::move(loaded.problems);
  return result;
}

void refuse_doubled_ids(RuleFiles &files, std::string const &file) {
  auto &rules = files.rules;
  for (std::size_t i = 1; i < rules.size(); ++i) {
    auto const same = [&](auto const &other) { return other->id == rules[i]->id; };
    auto const here = rules.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::any_of(rules.begin(), here, same))
      files.problems.push_back({file, 0, 0, false, "two rules have the id " + rules[i]->id});
  }
}

}  // namespace

bool RuleFiles::ok() const {
  return std::ranges::all_of(problems, [](Problem const &problem) { return problem.warning; });
}

RuleFiles load_rules(std::string_view text, std::string const &file) {
  RuleFiles result;
  switch (form_of(text, file)) {
    case Form::yaml: return load_yaml(text, file);
    case Form::toml: result = load_repository_toml(text, file); break;
    case Form::json: result = load_kibana_export(text, file); break;
  }
  refuse_doubled_ids(result, file);
  return result;
}

}  // namespace imdsgate
