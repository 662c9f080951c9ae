#include "rules/matcher.hpp"

#include <algorithm>

namespace imdsgate::eql {
namespace {

// In this order, so that `and` is the least, `or` the greatest and `not` the mirror image (Kleene's logic).
enum class Truth { no, unknown, yes };

Truth from(bool value) {
  return value ? Truth::yes : Truth::no;
}

bool any_fits(ValueTest const &test, std::vector<std::string> const &values) {
  return std::visit(
      [&](auto const &one) {
        return std::any_of(values.begin(), values.end(), [&](std::string const &v) { return one.fits(v); });
      },
      test);
}

// Each case is a sentence of View's description.
Truth decide(Term const &term, Values const *values, View view) {
  if (!values) return Truth::no;
  switch (view) {
    case View::by_polarity: return from(any_fits(term.test, term.negated ? values->proven : values->claimed));
    case View::denial:
      if (values->unreadable && !term.negated) return Truth::yes;
      return from(any_fits(term.test, term.negated ? values->proven : values->claimed));
    case View::proven:
      if (any_fits(term.test, values->proven)) return Truth::yes;
      if (values->unreadable) return Truth::unknown;
      if (values->claimed.empty()) return Truth::no;
      if (values->proven.empty() || any_fits(term.test, values->claimed)) return Truth::unknown;
      return Truth::no;
  }
  __builtin_unreachable();
}

class Evaluation {
 public:
  Evaluation(Expression const &expression, Event const &event, View view)
      : expression_(expression), event_(event), view_(view) {}

  Truth of(std::uint32_t index) const {
    Step const &step = expression_.steps[index];
    switch (step.kind) {
      case Step::Kind::constant: return from(step.value);
      case Step::Kind::all: return extreme(step, Truth::no, [](Truth a, Truth b) { return std::min(a, b); });
      case Step::Kind::any: return extreme(step, Truth::yes, [](Truth a, Truth b) { return std::max(a, b); });
      case Step::Kind::negation:
        return static_cast<Truth>(static_cast<int>(Truth::yes) - static_cast<int>(of(step.operands.front())));
      case Step::Kind::term: {
        Term const &term = expression_.terms[step.term];
        return decide(term, event_.find(term.hash, term.field), view_);
      }
    }
    __builtin_unreachable();
  }

 private:
  // Stops at the truth that no further operand can change.
  template <class Pick>
  Truth extreme(Step const &step, Truth final, Pick pick) const {
    Truth result = of(step.operands.front());
    for (std::size_t i = 1; i < step.operands.size() && result != final; ++i)
      result = pick(result, of(step.operands[i]));
    return result;
  }

  Expression const &expression_;
  Event const &event_;
  View view_;
};

}  // namespace

bool matches(Query const &query, Event const &event, View view) {
  if (!query.where || (query.category != "any" && query.category != event.category)) return false;
  Truth const truth = Evaluation(*query.where, event, view).of(query.where->root);
  return truth == Truth::yes;
}

}  // namespace imdsgate::eql
