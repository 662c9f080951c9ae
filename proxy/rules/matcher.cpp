#include "rules/matcher.hpp"

#include <algorithm>
#include <atomic>

namespace imdsgate::eql {
namespace {

constexpr std::size_t kMostChoices = 4096;  // of the values of a term's fields

std::atomic<std::uint64_t> not_all_tried{0};  // terms

Truth from(bool value) {
  return value ? Truth::yes : Truth::no;
}

enum class Which { claimed, proven };

template <class Test>
bool any_fits(Test const &test, Row const &row, Row::Cell const &cell, Which which) {
  for (auto at = cell.first; at != Row::kEnd;) {
    auto const &value = row.value(at);
    if ((which == Which::claimed || value.proven) && test.fits(value.text)) return true;
    at = value.next;
  }
  return false;
}

// Each case is a sentence of View's description.
template <class Fits>
Truth by_view(View view, bool negated, std::span<Row::Cell const *const> cells, Fits fits) {
  auto const any = [&](auto what) { return std::any_of(cells.begin(), cells.end(), what); };
  if (any([](auto const *cell) { return cell->missing(); })) return Truth::no;
  bool const unreadable = view != View::by_polarity && any([](auto const *cell) { return cell->unreadable; });
  switch (view) {
    case View::by_polarity: return from(fits(negated ? Which::proven : Which::claimed));
    case View::denial:
      if (unreadable && !negated) return Truth::yes;
      return from(fits(negated ? Which::proven : Which::claimed));
    case View::proven:
      if (fits(Which::proven)) return Truth::yes;
      if (unreadable) return Truth::unknown;
      if (any([](auto const *cell) { return !cell->proven; }) || fits(Which::claimed)) return Truth::unknown;
      return Truth::no;
  }
  __builtin_unreachable();
}

}  // namespace

void Evaluator::begin(Row const &row) {
  row_ = &row;
  if (memory_ == Memory::none) return;
  if (known_.size() != condition_.terms.size() || ++event_ == 0) {
    known_.assign(condition_.terms.size(), {});
    event_ = 1;
  }
}

Truth Evaluator::term(std::uint32_t index) {
  if (memory_ == Memory::none) return decide(condition_.terms[index]);
  Known &known = known_[index];
  if (known.event != event_) known = {event_, decide(condition_.terms[index])};
  return known.truth;
}

Truth Evaluator::decide(Term const &term) {
  if (auto const *formula = std::get_if<Formula>(term.test.get())) return decide_formula(term, *formula);
  Row::Cell const &cell = row_->cell(term.fields.front());
  Row::Cell const *const cells[] = {&cell};
  return std::visit(
      [&](auto const &test) {
        return by_view(view_, term.negated, cells,
                       [&](Which which) { return any_fits(test, *row_, cell, which); });
      },
      std::get<ValueTest>(*term.test));
}

Truth Evaluator::decide_formula(Term const &term, Formula const &formula) {
  cells_.clear();
  for (std::uint32_t const field : term.fields) cells_.push_back(&row_->cell(field));
  return by_view(view_, term.negated, cells_,
                 [&](Which which) { return any_choice(formula, which == Which::proven); });
}

// The first value from `at` on that counts.
std::uint32_t Evaluator::counted(std::uint32_t at, bool only_proven) const {
  while (at != Row::kEnd && only_proven && !row_->value(at).proven) at = row_->value(at).next;
  return at;
}

bool Evaluator::any_choice(Formula const &formula, bool only_proven) {
  at_.clear();
  chosen_.clear();
  for (Row::Cell const *cell : cells_) {
    at_.push_back(counted(cell->first, only_proven));
    if (at_.back() == Row::kEnd) return false;
    chosen_.push_back(row_->value(at_.back()).text);
  }
  for (std::size_t choices = kMostChoices; choices > 0; --choices) {
    if (formula.holds(chosen_, texts_)) return true;
    if (!next_choice(only_proven)) return false;
  }
  not_all_tried.fetch_add(1, std::memory_order_relaxed);
  return false;
}

// Like an odometer, the first field fastest.
bool Evaluator::next_choice(bool only_proven) {
  for (std::size_t i = 0; i < at_.size(); ++i) {
    at_[i] = counted(row_->value(at_[i]).next, only_proven);
    bool const wrapped = at_[i] == Row::kEnd;
    if (wrapped) at_[i] = counted(cells_[i]->first, only_proven);
    chosen_[i] = row_->value(at_[i]).text;
    if (!wrapped) return true;
  }
  return false;
}

// Stops at the truth that no further operand can change.
Truth Evaluator::extreme(Step const &step, Truth final) {
  Truth result = of(step.operands.front());
  for (std::size_t i = 1; i < step.operands.size() && result != final; ++i) {
    Truth const next = of(step.operands[i]);
    result = final == Truth::no ? std::min(result, next) : std::max(result, next);
  }
  return result;
}

Truth Evaluator::of(std::uint32_t index) {
  Step const &step = condition_.steps[index];
  switch (step.kind) {
    case Step::Kind::constant: return from(step.value);
    case Step::Kind::all: return extreme(step, Truth::no);
    case Step::Kind::any: return extreme(step, Truth::yes);
    case Step::Kind::negation:
      return static_cast<Truth>(static_cast<int>(Truth::yes) - static_cast<int>(of(step.operands.front())));
    case Step::Kind::term: return term(step.term);
  }
  __builtin_unreachable();
}

std::uint64_t terms_not_all_tried() {
  return not_all_tried.load(std::memory_order_relaxed);
}

bool matches(Query const &query, Event const &event, View view) {
  if (!query.where || (query.category && query.category != event.category)) return false;
  thread_local Row row{FieldTable{}};  // for its memory
  row.assign(query.where->fields, event);
  Evaluator evaluator(query.where->condition, view, Evaluator::Memory::none);
  evaluator.begin(row);
  bool const result = evaluator.of(query.where->root) == Truth::yes;
  row.clear();
  return result;
}

}  // namespace imdsgate::eql
