#include "rules/rule_elastic.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "model/quantity.hpp"
#include "model/strict_yaml.hpp"
#include "rules/rule_node.hpp"

namespace imdsgate {
namespace {

using rule_file::Member;
using rule_file::Node;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

constexpr std::int64_t kMostAlerts = 1'000'000;
constexpr std::int64_t kHighestVersion = 1'000'000;

// Keys of a rule that say how and where Kibana runs, shows and keeps it.
constexpr std::array kIgnored = {"actions"sv,
                                 "alert_suppression"sv,
                                 "alias_purpose"sv,
                                 "alias_target_id"sv,
                                 "author"sv,
                                 "building_block_type"sv,
                                 "created_at"sv,
                                 "created_by"sv,
                                 "data_view_id"sv,
                                 "enabled"sv,
                                 "execution_summary"sv,
                                 "false_positives"sv,
                                 "id"sv,
                                 "immutable"sv,
                                 "index"sv,
                                 "investigation_fields"sv,
                                 "license"sv,
                                 "meta"sv,
                                 "namespace"sv,
                                 "note"sv,
                                 "outcome"sv,
                                 "output_index"sv,
                                 "related_integrations"sv,
                                 "required_fields"sv,
                                 "response_actions"sv,
                                 "revision"sv,
                                 "risk_score_mapping"sv,
                                 "rule_name_override"sv,
                                 "rule_source"sv,
                                 "setup"sv,
                                 "severity_mapping"sv,
                                 "throttle"sv,
                                 "timeline_id"sv,
                                 "timeline_title"sv,
                                 "timestamp_override"sv,
                                 "timestamp_override_fallback_disabled"sv,
                                 "to"sv,
                                 "updated_at"sv,
                                 "updated_by"sv};

// Keys of the repository's [metadata].
constexpr std::array kMetadata = {"bypass_bbr_timing"sv,
                                  "comments"sv,
                                  "creation_date"sv,
                                  "deprecation_date"sv,
                                  "extended"sv,
                                  "integration"sv,
                                  "maturity"sv,
                                  "min_stack_comments"sv,
                                  "min_stack_version"sv,
                                  "os_type_list"sv,
                                  "promotion"sv,
                                  "query_schema_validation"sv,
                                  "related_endpoint_rules"sv,
                                  "updated_date"sv};

std::vector<Member> const *members(Node const &node) {
  return std::get_if<std::vector<Member>>(&node.value);
}

Member const *member(Node const &node, std::string_view key) {
  auto const *all = members(node);
  if (all == nullptr) return nullptr;
  auto const found = std::ranges::find(*all, key, &Member::key);
  return found == all->end() ? nullptr : &*found;
}

std::string_view described(Node const &node) {
  static constexpr std::array kNames = {"null"sv,   "a boolean"sv, "a number"sv, "a number"sv,
                                        "a text"sv, "a list"sv,    "a table"sv,  "a date"sv};
  return kNames[node.value.index()];
}

// The keys of one table: what is not asked for is an error.
class Table {
 public:
  Table(Node const &node, std::string name, std::vector<Problem> &problems, std::string const &file)
      : node_(node), name_(std::move(name)), problems_(problems), file_(file) {
    if (auto const *all = members(node)) {
      asked_.assign(all->size(), false);
      for (std::size_t i = 1; i < all->size(); ++i) {
        auto const here = all->begin() + static_cast<std::ptrdiff_t>(i);
        auto const same = [&](Member const &other) { return other.key == here->key; };
        if (std::any_of(all->begin(), here, same))
          error(here->place, "key '" + qualified(here->key) + "' is given twice");
      }
    } else {
      error(node.place, label() + "expected a table, found " + std::string(described(node)));
    }
  }

  void error(Place place, std::string text) { add(place, std::move(text), false); }
  void warning(Place place, std::string text) { add(place, std::move(text), true); }
  std::vector<Problem> &problems() { return problems_; }
  std::string const &file() const { return file_; }
  std::string qualified(std::string_view key) const {
    return name_.empty() ? std::string(key) : name_ + '.' + std::string(key);
  }

  // nullptr: absent, or null, which is the same in JSON.
  Node const *find(std::string_view key) {
    known_.emplace_back(key);
    auto const *all = members(node_);
    for (std::size_t i = 0; all != nullptr && i < all->size(); ++i) {
      if ((*all)[i].key != key) continue;
      asked_[i] = true;
      return std::holds_alternative<Node::Null>((*all)[i].value.value) ? nullptr : &(*all)[i].value;
    }
    return nullptr;
  }
  Node const *require(std::string_view key) {
    auto const *const found = find(key);
    if (found == nullptr && members(node_) != nullptr)
      error(node_.place, "key '" + qualified(key) + "' is missing");
    return found;
  }

  template <class Value>
  Value const *of_type(std::string_view key, Node const *node, std::string_view what) {
    if (node == nullptr) return nullptr;
    auto const *const value = std::get_if<Value>(&node->value);
    if (value == nullptr) expected(key, *node, what);
    return value;
  }

  void text(std::string_view key, std::string &target, Node const *node) {
    if (auto const *const value = of_type<std::string>(key, node, "a text")) target = *value;
  }
  void required_text(std::string_view key, std::string &target) {
    auto const *const node = require(key);
    text(key, target, node);
    if (node != nullptr && std::holds_alternative<std::string>(node->value) && target.empty())
      error(node->place, qualified(key) + ": is empty");
  }
  void number(std::string_view key, int &target, std::int64_t least, std::int64_t most) {
    auto const *const node = find(key);
    auto const *const value = of_type<std::int64_t>(key, node, "a whole number");
    if (value == nullptr) return;
    if (*value >= least && *value <= most) {
      target = static_cast<int>(*value);
    } else {
      error(node->place,
            qualified(key) + ": must be from " + std::to_string(least) + " to " + std::to_string(most));
    }
  }
  void texts(std::string_view key, std::vector<std::string> &target) {
    auto const *const items = of_type<std::vector<Node>>(key, find(key), "a list of texts");
    if (items == nullptr) return;
    for (auto const &item : *items) {
      if (auto const *const value = of_type<std::string>(key, &item, "a text")) target.push_back(*value);
    }
  }
  void expected(std::string_view key, Node const &node, std::string_view what) {
    error(node.place,
          qualified(key) + ": expected " + std::string(what) + ", found " + std::string(described(node)));
  }

  void finish() {
    auto const *all = members(node_);
    for (std::size_t i = 0; all != nullptr && i < all->size(); ++i) {
      if (asked_[i]) continue;
      auto const near = yaml::nearest((*all)[i].key, known_);
      error((*all)[i].place, "unknown key '" + qualified((*all)[i].key) + "'" +
                                 (near ? "; did you mean '" + *near + "'?" : std::string()));
    }
  }

 private:
  std::string label() const { return name_.empty() ? std::string() : name_ + ": "; }
  void add(Place place, std::string text, bool warning) {
    problems_.push_back({file_, place.line, place.column, warning, std::move(text)});
  }

  Node const &node_;
  std::string name_;
  std::vector<Problem> &problems_;
  std::string const &file_;
  std::vector<bool> asked_;
  std::vector<std::string> known_;
};

class ElasticRule {
 public:
  ElasticRule(Node const &node, std::string name, RuleFiles &files, std::string const &file)
      : files_(files), table_(node, std::move(name), files.problems, file), rule_(std::make_shared<Rule>()) {}

  void load() {
    auto const before = errors();
    table_.required_text("rule_id", rule_->id);
    table_.required_text("name", rule_->name);
    table_.text("description", rule_->description, table_.find("description"));
    table_.number("version", rule_->version, 1, kHighestVersion);
    table_.number("risk_score", rule_->risk_score, 0, 100);
    table_.number("max_signals", rule_->max_alerts, 1, kMostAlerts);
    table_.text("from", rule_->from, table_.find("from"));
    table_.texts("tags", rule_->tags);
    table_.texts("references", rule_->references);
    severity();
    interval();
    threats();
    only_eql("type", table_.require("type"));
    only_eql("language", table_.find("language"));
    meaning();
    query();
    for (auto const key : kIgnored) table_.find(key);
    table_.finish();
    if (errors() == before) files_.rules.push_back(std::move(rule_));
  }

 private:
  std::ptrdiff_t errors() const {
    return std::ranges::count_if(files_.problems, [](Problem const &problem) { return !problem.warning; });
  }

  void severity() {
    auto const *const node = table_.find("severity");
    auto const *const value = table_.of_type<std::string>("severity", node, "a text");
    if (value == nullptr) return;
    for (auto const severity : {Severity::low, Severity::medium, Severity::high, Severity::critical}) {
      if (*value != to_string(severity)) continue;
      rule_->severity = severity;
      return;
    }
    table_.error(node->place, "severity: expected one of low, medium, high, critical, found " + *value);
  }

  void interval() {
    auto const *const node = table_.find("interval");
    auto const *const value = table_.of_type<std::string>("interval", node, "a text");
    if (value == nullptr) return;
    auto const duration = parse_duration(*value);
    if (duration && *duration >= 1s) {
      rule_->interval = *duration;
    } else {
      table_.error(node->place, "interval: expected a duration of at least 1s, such as 5m, found " + *value);
    }
  }

  void only_eql(std::string_view key, Node const *node) {
    auto const *const value = table_.of_type<std::string>(key, node, "a text");
    if (value != nullptr && *value != "eql")
      table_.error(node->place, std::string(key) + ": only eql rules are understood, this one is " + *value);
  }

  void only(std::string_view key, std::string_view understood) {
    auto const *const node = table_.find(key);
    auto const *const value = table_.of_type<std::string>(key, node, "a text");
    if (value != nullptr && !value->empty() && *value != understood)
      table_.error(node->place, std::string(key) + ": only " + std::string(understood) +
                                    " is understood, found " + *value);
  }

  void meaning() {
    only("event_category_override", "event.category");
    only("timestamp_field", "@timestamp");
    for (auto const key : {"filters"sv, "exceptions_list"sv}) {
      auto const *const node = table_.find(key);
      auto const *const items = table_.of_type<std::vector<Node>>(key, node, "a list");
      if (items != nullptr && !items->empty())
        table_.warning(node->place,
                       std::string(key) + " are not applied: the rule may match more than it does in Kibana");
    }
    auto const *const tiebreaker = table_.find("tiebreaker_field");
    auto const *const field = table_.of_type<std::string>("tiebreaker_field", tiebreaker, "a text");
    if (field != nullptr && !field->empty())
      table_.warning(tiebreaker->place,
                     "tiebreaker_field is not applied: events of one time are taken as they come");
  }

  void threats() {
    auto const *const items =
        table_.of_type<std::vector<Node>>("threat", table_.find("threat"), "a list of tables");
    for (std::size_t i = 0; items != nullptr && i < items->size(); ++i) {
      Table table((*items)[i], table_.qualified("threat[" + std::to_string(i) + ']'), table_.problems(),
                  table_.file());
      Threat threat;
      table.text("framework", threat.framework, table.require("framework"));
      if (auto const *const node = table.require("tactic")) {
        Table tactic(*node, table.qualified("tactic"), table_.problems(), table_.file());
        named(tactic, threat.tactic_id, threat.tactic_name, threat.tactic_reference);
        tactic.finish();
      }
      threat.techniques = techniques(table, "technique");
      table.finish();
      rule_->threat.push_back(std::move(threat));
    }
  }

  static void named(Table &table, std::string &id, std::string &name, std::string &reference) {
    table.required_text("id", id);
    table.required_text("name", name);
    table.text("reference", reference, table.find("reference"));
  }

  // A subtechnique has no subtechniques.
  std::vector<ThreatTechnique> techniques(Table &parent, std::string_view key) {
    std::vector<ThreatTechnique> result;
    auto const *const items = parent.of_type<std::vector<Node>>(key, parent.find(key), "a list of tables");
    for (std::size_t i = 0; items != nullptr && i < items->size(); ++i) {
      Table table((*items)[i], parent.qualified(std::string(key) + '[' + std::to_string(i) + ']'),
                  table_.problems(), table_.file());
      ThreatTechnique technique;
      named(table, technique.id, technique.name, technique.reference);
      if (key == "technique") technique.subtechniques = techniques(table, "subtechnique");
      table.finish();
      result.push_back(std::move(technique));
    }
    return result;
  }

  void query() {
    auto const *const node = table_.require("query");
    auto const *const text = table_.of_type<std::string>("query", node, "a text");
    if (text == nullptr) return;
    eql::Origin origin;
    origin.file = table_.file();
    origin.places = node->places;
    auto compiled = eql::compile_rule_query(*text, origin);
    if (auto *const problem = std::get_if<Problem>(&compiled)) {
      table_.problems().push_back(std::move(*problem));
      return;
    }
    rule_->query = std::move(std::get<eql::RuleQuery>(compiled));
    rule_->query_text = *text;
  }

  RuleFiles &files_;
  Table table_;
  std::shared_ptr<Rule> rule_;
};

// What an export has beside rules: its summary, exception lists and their items, connectors of actions.
bool is_no_rule(Node const &node) {
  auto const has = [&](std::string_view key) { return member(node, key) != nullptr; };
  if (has("rule_id") || has("query")) return false;
  return has("exported_count") || has("exported_rules_count") || has("list_id") ||
         (has("attributes") && has("type"));
}

RuleFiles begun(rule_file::Parsed &parsed) {
  RuleFiles files;
  files.problems = std::move(parsed.problems);
  return files;
}

}  // namespace

RuleFiles load_kibana_export(std::string_view text, std::string const &file) {
  auto parsed = rule_file::parse_json(text, file);
  auto files = begun(parsed);
  bool any = !files.problems.empty();
  for (auto const &node : parsed.nodes) {
    if (is_no_rule(node)) continue;
    any = true;
    ElasticRule(node, "", files, file).load();
  }
  if (!any) files.problems.push_back({file, 0, 0, false, "no rule in it"});
  return files;
}

RuleFiles load_repository_toml(std::string_view text, std::string const &file) {
  auto parsed = rule_file::parse_toml(text, file);
  auto files = begun(parsed);
  if (parsed.nodes.empty()) return files;
  Table root(parsed.nodes.front(), "", files.problems, file);
  if (auto const *const metadata = root.find("metadata")) {
    Table table(*metadata, "metadata", files.problems, file);
    for (auto const key : kMetadata) table.find(key);
    table.finish();
  }
  root.find("transform");  // the questions of an investigation guide
  if (auto const *const rule = root.require("rule")) ElasticRule(*rule, "rule", files, file).load();
  root.finish();
  if (!files.ok()) files.rules.clear();
  return files;
}

}  // namespace imdsgate
