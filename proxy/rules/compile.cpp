// From the syntax tree to queries.
#include <algorithm>
#include <map>
#include <tuple>

#include "rules/compile_condition.hpp"
#include "rules/demands.hpp"
#include "rules/excerpt.hpp"
#include "rules/parser.hpp"

namespace imdsgate::eql {
namespace {

std::variant<Query, Failure> finish(std::optional<std::string> category, Node const &where,
                                    std::string_view text, Origin const &origin) {
  Compilation state;
  state.text = text;
  ConditionCompiler compiler(state);
  auto const root = compiler.condition(where, false);
  if (!root) return *state.failure;
  Query query;
  query.category = std::move(category);
  std::map<std::string, bool> fields;  // name → named without `?` somewhere
  for (auto const &[field, at] : state.mentions) {
    query.named.push_back({field.name, field.optional, place_at(at, text, origin)});
    fields[field.name] = fields[field.name] || !field.optional;
  }
  for (auto const &[name, required] : fields) {
    query.fields.push_back(name);
    if (!required) query.optional_fields.push_back(name);
  }
  query.where = std::make_shared<Expression const>(compiler.take(*root));
  return query;
}

std::variant<Sequence::Stage, Failure> finish(StageText &&stage, std::vector<NodePtr> const &shared_keys,
                                              std::string_view text, Origin const &origin) {
  auto compiled = finish(std::move(stage.query.category), *stage.query.where, text, origin);
  if (auto *failure = std::get_if<Failure>(&compiled)) return std::move(*failure);
  Sequence::Stage result{std::get<Query>(std::move(compiled)), {}};
  for (std::vector<NodePtr> const *keys :
       {&shared_keys, static_cast<std::vector<NodePtr> const *>(&stage.keys)}) {
    for (NodePtr const &key : *keys) {
      auto const &field = std::get<FieldName>(key->is);
      result.keys.push_back({field.name, field.optional, place_at(key->at, text, origin)});
    }
  }
  return result;
}

std::variant<Sequence, Failure> finish(SequenceQuery &&parsed, std::string_view text, Origin const &origin) {
  Sequence sequence;
  sequence.maxspan = parsed.maxspan;
  for (StageText &stage : parsed.stages) {
    int const runs = stage.runs;
    auto compiled = finish(std::move(stage), parsed.keys, text, origin);
    if (auto *failure = std::get_if<Failure>(&compiled)) return std::move(*failure);
    sequence.stages.insert(sequence.stages.end(), static_cast<std::size_t>(runs),
                           std::get<Sequence::Stage>(std::move(compiled)));
  }
  if (parsed.until) {
    auto compiled = finish(std::move(*parsed.until), parsed.keys, text, origin);
    if (auto *failure = std::get_if<Failure>(&compiled)) return std::move(*failure);
    sequence.until = std::get<Sequence::Stage>(std::move(compiled));
  }
  return sequence;
}

// A failure becomes a problem with its place.
template <class Result, class Compiled>
std::variant<Result, Problem> placed(Compiled &&compiled, std::string_view text, Origin const &origin) {
  if (auto const *failure = std::get_if<Failure>(&compiled)) return problem_at(*failure, text, origin);
  return Result(std::get<0>(std::move(compiled)));
}

}  // namespace

std::variant<Query, Problem> compile_query(std::string_view text, Origin const &origin) {
  auto parsed = parse_event_query(text);
  if (auto const *failure = std::get_if<Failure>(&parsed)) return problem_at(*failure, text, origin);
  auto &query = std::get<EventQuery>(parsed);
  return placed<Query>(finish(std::move(query.category), *query.where, text, origin), text, origin);
}

std::variant<RuleQuery, Problem> compile_rule_query(std::string_view text, Origin const &origin) {
  auto parsed = parse_query(text);
  if (auto const *failure = std::get_if<Failure>(&parsed)) return problem_at(*failure, text, origin);
  if (auto *query = std::get_if<EventQuery>(&parsed)) {
    return placed<RuleQuery>(finish(std::move(query->category), *query->where, text, origin), text, origin);
  }
  return placed<RuleQuery>(finish(std::get<SequenceQuery>(std::move(parsed)), text, origin), text, origin);
}

std::variant<Query, Problem> compile_expression(std::string_view text, Origin const &origin) {
  auto parsed = parse_expression(text);
  if (auto const *failure = std::get_if<Failure>(&parsed)) return problem_at(*failure, text, origin);
  auto const &where = *std::get<NodePtr>(parsed);
  auto query = placed<Query>(finish(std::nullopt, where, text, origin), text, origin);
  if (auto *compiled = std::get_if<Query>(&query)) {
    auto outright = demands_of(where);
    compiled->demands = std::move(outright.demands);
    compiled->only_demands = outright.complete;
  }
  return query;
}

// A sequence's shared keys stand in every stage, but once in the text.
std::vector<NamedField> query_fields(RuleQuery const &query) {
  if (auto const *event = std::get_if<Query>(&query)) return event->named;
  auto const &sequence = std::get<Sequence>(query);
  std::vector<NamedField> fields;
  auto const add = [&](Sequence::Stage const &stage) {
    fields.insert(fields.end(), stage.keys.begin(), stage.keys.end());
    fields.insert(fields.end(), stage.query.named.begin(), stage.query.named.end());
  };
  for (auto const &stage : sequence.stages) add(stage);
  if (sequence.until) add(*sequence.until);
  auto const place = [](NamedField const &field) { return std::tie(field.place.line, field.place.column); };
  std::stable_sort(fields.begin(), fields.end(),
                   [&](NamedField const &a, NamedField const &b) { return place(a) < place(b); });
  auto const same = [&](NamedField const &a, NamedField const &b) {
    return place(a) == place(b) && a.name == b.name;
  };
  fields.erase(std::unique(fields.begin(), fields.end(), same), fields.end());
  return fields;
}

}  // namespace imdsgate::eql
