#include "rules/engine.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "rules/compile_value.hpp"
#include "rules/matcher.hpp"
#include "rules/sequence.hpp"

namespace imdsgate::eql {
namespace {

// The conditions of all rules as one: equal terms once, fields by one table.
class Merger {
 public:
  Merger(FieldTable &fields, Condition &into) : fields_(fields), into_(into) {}

  std::uint32_t add(Expression const &expression) {
    if (auto const known = roots_.find(&expression); known != roots_.end()) return known->second;
    auto const base = static_cast<std::uint32_t>(into_.steps.size());
    for (Step step : expression.condition.steps) {
      for (auto &operand : step.operands) operand += base;
      if (step.kind == Step::Kind::term)
        step.term = term(expression.condition.terms[step.term], expression.fields);
      into_.steps.push_back(std::move(step));
    }
    return roots_[&expression] = base + expression.root;
  }

 private:
  std::uint32_t term(Term term, FieldTable const &its) {
    auto const [place, added] = terms_.emplace(term.key, static_cast<std::uint32_t>(into_.terms.size()));
    if (!added) return place->second;
    for (auto &field : term.fields) field = fields_.add(its.names()[field]);
    into_.terms.push_back(std::move(term));
    return place->second;
  }

  FieldTable &fields_;
  Condition &into_;
  std::map<std::string, std::uint32_t> terms_;
  std::map<Expression const *, std::uint32_t> roots_;
};

constexpr std::uint32_t kAny = 0;
constexpr std::uint32_t kNoSequence = 0xffffffff;

// What asks of an event whether it is of a category and meets a condition.
struct Asked {
  std::uint32_t category = kAny;
  std::uint32_t root = 0;
};

struct Compiled {
  std::optional<Asked> event;            // of an event query
  std::uint32_t sequence = kNoSequence;  // index into the states
  std::vector<Asked> stages;
  std::optional<Asked> until;
  bool live_exec = false;
};

}  // namespace

struct Engine::Parts {
  std::vector<std::shared_ptr<Rule const>> sources;  // they own what is compiled
  FieldTable fields;
  Condition condition;
  std::vector<std::string> categories{"any"};  // the first is every one, whatever its name
  std::vector<Compiled> rules;
  std::vector<SequenceState> sequences;
  std::vector<std::vector<std::uint32_t>> by_category;  // rules that an event of this category may concern
  Evaluator evaluator{condition, View::by_polarity, Evaluator::Memory::remember};

  std::int64_t now = std::numeric_limits<std::int64_t>::min();
  std::int64_t next_deadline = SequenceState::kNoLimit;  // no pending match expires before
  std::int64_t longest_span = 0;
  std::vector<std::uint32_t> event_categories;  // of the event that is fed
  std::vector<SequenceState::Hits> exec_hits;   // by sequence
  SequenceState::Found found;

  void compile(std::size_t pending);
  std::uint32_t category(std::optional<std::string> const &name);
  void begin(Row const &row);
  bool concerns(Asked const &asked) const;
  bool meets(Asked const &asked);
  SequenceState::Hits hits(Compiled const &rule);
  void advance_to(std::int64_t time);
  template <class Visit>
  void for_each_concerned(Visit visit);
  void feed_rule(std::uint32_t index, Row const &row, Stamp at, std::vector<Match> &matches);
  void report(std::uint32_t index, std::vector<Match> &matches);
};

std::uint32_t Engine::Parts::category(std::optional<std::string> const &name) {
  if (!name) return kAny;
  auto const known = std::find(categories.begin() + 1, categories.end(), *name);
  auto const number = static_cast<std::uint32_t>(known - categories.begin());
  if (known == categories.end()) categories.push_back(*name);
  return number;
}

void Engine::Parts::compile(std::size_t pending) {
  Merger merger(fields, condition);
  auto const asked = [&](Query const &query) {
    return Asked{category(query.category), merger.add(*query.where)};
  };
  auto const keys = [&](std::vector<NamedField> const &named) {
    std::vector<JoinKey> result;
    for (NamedField const &key : named)
      result.push_back({fields.add(key.name), key.optional, is_address_field(key.name)});
    return result;
  };
  for (auto const &source : sources) {
    Compiled rule;
    rule.live_exec = source->live_exec;
    if (auto const *query = std::get_if<Query>(&source->query)) {
      if (query->where) rule.event = asked(*query);
    } else {
      auto const &sequence = std::get<Sequence>(source->query);
      SequenceState::Shape shape;
      shape.pending = pending;
      shape.maxspan = sequence.maxspan.value_or(SequenceState::kNoLimit);
      for (auto const &stage : sequence.stages) {
        rule.stages.push_back(asked(stage.query));
        shape.stages.push_back(keys(stage.keys));
      }
      if (sequence.until) {
        rule.until = asked(sequence.until->query);
        shape.until = keys(sequence.until->keys);
      }
      longest_span = std::max(longest_span, shape.maxspan);
      rule.sequence = static_cast<std::uint32_t>(sequences.size());
      sequences.emplace_back(std::move(shape));
    }
    rules.push_back(std::move(rule));
  }
  exec_hits.resize(sequences.size());
  by_category.resize(categories.size());
  for (std::uint32_t i = 0; i < rules.size(); ++i) {
    auto asked_of = rules[i].stages;
    if (rules[i].until) asked_of.push_back(*rules[i].until);
    if (rules[i].event) asked_of.push_back(*rules[i].event);
    for (std::uint32_t category = 0; category < categories.size(); ++category) {
      auto const fits = [&](Asked const &one) { return one.category == kAny || one.category == category; };
      if (std::any_of(asked_of.begin(), asked_of.end(), fits)) by_category[category].push_back(i);
    }
  }
}

void Engine::Parts::begin(Row const &row) {
  evaluator.begin(row);
  event_categories.clear();
  for (std::string_view const name : row.categories()) {
    auto const known = std::find(categories.begin() + 1, categories.end(), name);
    if (known == categories.end()) continue;
    auto const number = static_cast<std::uint32_t>(known - categories.begin());
    if (std::find(event_categories.begin(), event_categories.end(), number) == event_categories.end()) {
      event_categories.push_back(number);
    }
  }
}

bool Engine::Parts::concerns(Asked const &asked) const {
  return asked.category == kAny || std::find(event_categories.begin(), event_categories.end(),
                                             asked.category) != event_categories.end();
}

bool Engine::Parts::meets(Asked const &asked) {
  return concerns(asked) && evaluator.of(asked.root) == Truth::yes;
}

SequenceState::Hits Engine::Parts::hits(Compiled const &rule) {
  SequenceState::Hits result;
  for (std::size_t i = 0; i < rule.stages.size(); ++i) {
    bool const same = i > 0 && rule.stages[i].root == rule.stages[i - 1].root &&
                      rule.stages[i].category == rule.stages[i - 1].category;  // runs
    if (same ? result[i - 1] : meets(rule.stages[i])) result.set(i);
  }
  if (rule.until && meets(*rule.until)) result.set(SequenceState::kMostStages);
  return result;
}

// Pending matches expire as time goes on, whether or not an event concerns their rule.
void Engine::Parts::advance_to(std::int64_t time) {
  now = std::max(now, time);
  if (now <= next_deadline) return;
  next_deadline = SequenceState::kNoLimit;
  for (SequenceState &sequence : sequences) {
    sequence.expire(now);
    next_deadline = std::min(next_deadline, sequence.deadline());
  }
}

// In the order of the rules.
template <class Visit>
void Engine::Parts::for_each_concerned(Visit visit) {
  if (event_categories.size() <= 1) {
    for (auto const index : by_category[event_categories.empty() ? kAny : event_categories.front()])
      visit(index);
    return;
  }
  for (std::uint32_t index = 0; index < rules.size(); ++index) visit(index);
}

void Engine::Parts::report(std::uint32_t index, std::vector<Match> &matches) {
  next_deadline = std::min(next_deadline, sequences[rules[index].sequence].deadline());
  for (auto &events : found) matches.push_back({index, std::move(events)});
  found.clear();
}

void Engine::Parts::feed_rule(std::uint32_t index, Row const &row, Stamp at, std::vector<Match> &matches) {
  Compiled const &rule = rules[index];
  if (rule.sequence == kNoSequence) {
    if (rule.event && meets(*rule.event)) matches.push_back({index, {at.id}});
    return;
  }
  auto const met = hits(rule);
  if (met.none()) return;
  sequences[rule.sequence].feed({&row, met, at.id}, now, found);
  report(index, matches);
}

Engine::Engine(std::vector<std::shared_ptr<Rule const>> rules, Options options)
    : parts_(std::make_unique<Parts>()) {
  parts_->sources = std::move(rules);
  parts_->compile(options.pending);
}

Engine::Engine(Engine &&) noexcept = default;
Engine &Engine::operator=(Engine &&) noexcept = default;
Engine::~Engine() = default;

FieldTable const &Engine::fields() const {
  return parts_->fields;
}

void Engine::feed(Row const &event, Stamp at, std::vector<Match> &matches) {
  Parts &parts = *parts_;
  parts.advance_to(at.milliseconds);
  parts.begin(event);
  parts.for_each_concerned([&](std::uint32_t index) { parts.feed_rule(index, event, at, matches); });
}

// The exec's conditions are decided for all rules first: the evaluator knows one event at a time.
void Engine::present(Row const &exec, std::uint64_t exec_id, Row const &connection, Stamp at,
                     std::vector<Match> &matches) {
  Parts &parts = *parts_;
  parts.advance_to(at.milliseconds);
  parts.begin(exec);
  std::fill(parts.exec_hits.begin(), parts.exec_hits.end(), SequenceState::Hits{});
  parts.for_each_concerned([&](std::uint32_t index) {
    Compiled const &rule = parts.rules[index];
    if (rule.sequence != kNoSequence && rule.live_exec) parts.exec_hits[rule.sequence] = parts.hits(rule);
  });
  parts.begin(connection);
  parts.for_each_concerned([&](std::uint32_t index) {
    Compiled const &rule = parts.rules[index];
    if (rule.sequence == kNoSequence) return parts.feed_rule(index, connection, at, matches);
    auto const met = parts.hits(rule);
    if (met.none()) return;
    SequenceState::Seen const by_exec{&exec, parts.exec_hits[rule.sequence], exec_id};
    parts.sequences[rule.sequence].present(by_exec, {&connection, met, at.id}, parts.now, parts.found);
    parts.report(index, matches);
  });
}

std::int64_t Engine::longest_span() const {
  return parts_->longest_span;
}

Engine::Counters Engine::counters() const {
  Counters result;
  for (SequenceState const &sequence : parts_->sequences) {
    result.pending += sequence.pending();
    result.refused += sequence.refused();
    result.uncombined += sequence.uncombined();
  }
  return result;
}

}  // namespace imdsgate::eql
