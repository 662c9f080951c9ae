// The YAML form of a rule.
#include <optional>

#include "model/quantity.hpp"
#include "model/strict_yaml.hpp"
#include "rules/rule.hpp"

namespace imdsgate {
namespace {

using yaml::Map;
using yaml::Reader;
using yaml::Value;
using namespace std::chrono_literals;

constexpr std::uint64_t kMostAlerts = 1'000'000;
constexpr std::uint64_t kHighestVersion = 1'000'000;

// Puts what was read where it belongs; without one, the default stays and the problem is already collected.
template <class Target, class Read>
void assign(Target &target, std::optional<Read> read) {
  if (read) target = static_cast<Target>(std::move(*read));
}

class RuleReader {
 public:
  explicit RuleReader(std::string const &file) : reader_(file), rule_(std::make_shared<Rule>()) {}

  RuleFile load(std::string_view text) {
    if (auto const root = reader_.load(text)) {
      Map map(reader_, *root);
      identity(map);
      alerting(map);
      lists(map);
      unused(map);
      query(map);
      map.finish();
    }
    RuleFile result;
    if (reader_.ok()) result.rule = std::move(rule_);
    result.problems = reader_.take();
    return result;
  }

 private:
  void identity(Map &map) {
    if (auto const value = map.require("id")) assign(rule_->id, reader_.text(*value));
    if (auto const value = map.require("name")) assign(rule_->name, reader_.text(*value));
    if (auto const value = map.find("description")) assign(rule_->description, reader_.text(*value));
    if (auto const value = map.find("version")) {
      assign(rule_->version, reader_.unsigned_integer(*value, 1, kHighestVersion));
    }
  }

  void alerting(Map &map) {
    if (auto const value = map.find("severity")) {
      assign(rule_->severity, reader_.choice<Severity>(*value, {{"low", Severity::low},
                                                                {"medium", Severity::medium},
                                                                {"high", Severity::high},
                                                                {"critical", Severity::critical}}));
    }
    if (auto const value = map.find("risk_score")) {
      assign(rule_->risk_score, reader_.unsigned_integer(*value, 0, 100));
    }
    if (auto const value = map.find("interval")) assign(rule_->interval, reader_.duration(*value, 1s, 24h));
    if (auto const value = map.find("from")) from(*value);
    if (auto const value = map.find("max_alerts")) {
      assign(rule_->max_alerts, reader_.unsigned_integer(*value, 1, kMostAlerts));
    }
    if (auto const value = map.find("action")) {
      assign(rule_->action,
             reader_.choice<Verdict>(*value, {{"alert", Verdict::alert}, {"block", Verdict::block}}));
    }
    if (auto const value = map.find("live_exec")) assign(rule_->live_exec, reader_.boolean(*value));
    if (auto const value = map.find("block_on")) {
      assign(rule_->block_on, reader_.choice<Rule::BlockOn>(
                                  *value, {{"self", Rule::BlockOn::self}, {"any", Rule::BlockOn::any}}));
    }
  }

  void from(Value const &value) {
    auto const text = reader_.text(value);
    if (!text) return;
    std::string_view rest = *text;
    bool const now = rest.starts_with("now");
    rest.remove_prefix(now ? 3 : 0);
    if (!now || (!rest.empty() && (!rest.starts_with('-') || !parse_duration(rest.substr(1))))) {
      reader_.error(value, "expected 'now' or 'now-' and a duration, such as now-9m, found " + *text);
      return;
    }
    rule_->from = *text;
  }

  void lists(Map &map) {
    if (auto const value = map.find("tags")) assign(rule_->tags, reader_.text_list(*value));
    if (auto const value = map.find("references")) assign(rule_->references, reader_.text_list(*value));
    auto const threats = map.find("threat");
    auto const items = threats ? reader_.list(*threats) : std::nullopt;
    if (!items) return;
    for (Value const &item : *items) rule_->threat.push_back(threat(item));
  }

  Threat threat(Value const &item) {
    Threat result;
    Map map(reader_, item);
    if (auto const value = map.require("framework")) assign(result.framework, reader_.text(*value));
    if (auto const value = map.require("tactic")) {
      Map tactic(reader_, *value);
      named(tactic, result.tactic_id, result.tactic_name, result.tactic_reference);
      tactic.finish();
    }
    if (auto const value = map.find("technique")) result.techniques = techniques(*value, true);
    map.finish();
    return result;
  }

  void named(Map &map, std::string &id, std::string &name, std::string &reference) {
    if (auto const value = map.require("id")) assign(id, reader_.text(*value));
    if (auto const value = map.require("name")) assign(name, reader_.text(*value));
    if (auto const value = map.find("reference")) assign(reference, reader_.text(*value));
  }

  // A subtechnique has no subtechniques: there the key is unknown.
  std::vector<ThreatTechnique> techniques(Value const &list, bool top) {
    std::vector<ThreatTechnique> result;
    auto const items = reader_.list(list);
    if (!items) return result;
    for (Value const &item : *items) {
      ThreatTechnique technique;
      Map map(reader_, item);
      named(map, technique.id, technique.name, technique.reference);
      if (top) {
        if (auto const value = map.find("subtechnique")) technique.subtechniques = techniques(*value, false);
      }
      map.finish();
      result.push_back(std::move(technique));
    }
    return result;
  }

  void unused(Map &map) {
    for (char const *const key : {"false_positives", "author"}) {
      if (auto const value = map.find(key)) reader_.text_list(*value);
    }
    for (char const *const key : {"note", "license"}) {
      if (auto const value = map.find(key)) reader_.text(*value);
    }
  }

  void query(Map &map) {
    auto const value = map.require("query");
    auto const text = value ? reader_.text(*value) : std::nullopt;
    if (!text) return;
    eql::Origin origin;
    origin.file = reader_.file();
    origin.places = reader_.places(*value);
    auto compiled = eql::compile_rule_query(*text, origin);
    if (auto *problem = std::get_if<Problem>(&compiled)) {
      reader_.add(std::move(*problem));
      return;
    }
    rule_->query = std::get<eql::RuleQuery>(std::move(compiled));
    rule_->query_text = *text;
  }

  Reader reader_;
  std::shared_ptr<Rule> rule_;
};

}  // namespace

RuleFile load_rule(std::string_view text, std::string const &file) {
  return RuleReader(file).load(text);
}

}  // namespace imdsgate
