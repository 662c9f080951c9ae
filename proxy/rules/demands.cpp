#include "rules/demands.hpp"

#include <algorithm>

#include "rules/compile_value.hpp"

namespace imdsgate::eql {
namespace {

Demand *find(std::vector<Demand> &demands, std::string const &field) {
  auto const at = std::ranges::find(demands, field, &Demand::field);
  return at == demands.end() ? nullptr : &*at;
}

bool has_wildcard(std::string const &text) {
  return text.find_first_of("*?") != std::string::npos;
}

// A string, or a whole number as it is written without an exponent; nullopt for what has no one text.
std::optional<std::string> text_of(Node const &node) {
  if (auto const *text = std::get_if<std::string>(&node.is)) return *text;
  auto const *number = std::get_if<Number>(&node.is);
  return number != nullptr && number->integral ? std::optional(std::to_string(number->integer))
                                               : std::nullopt;
}

Demands of_values(Node const &left, std::vector<Node const *> const &right, bool folded, bool patterns) {
  auto const *field = std::get_if<FieldName>(&left.is);
  if (field == nullptr || is_address_field(field->name)) return {};
  Demands demands{{{field->name, {}, folded}}, true};
  auto &any_of = demands.demands.front().any_of;
  for (auto const *node : right) {
    auto text = text_of(*node);
    if (!text) return {};
    // "0" is not the only text that equals 0, but the only one that an id has.
    if (std::holds_alternative<Number>(node->is)) demands.complete = false;
    bool const pattern = patterns && has_wildcard(*text);
    any_of.push_back({*std::move(text), pattern});
  }
  return demands;
}

Demands of(Comparison const &is) {
  if (is.op != Comparison::Operator::equal) return {};
  bool const field_first = std::holds_alternative<FieldName>(is.left->is);
  return of_values(field_first ? *is.left : *is.right, {field_first ? is.right.get() : is.left.get()}, false,
                   false);
}

Demands of(Predicate const &is) {
  if (is.negated || is.op == Predicate::Operator::regex) return {};
  std::vector<Node const *> right;
  for (auto const &node : is.right) right.push_back(node.get());
  return of_values(*is.left, right, is.insensitive, is.op != Predicate::Operator::in);
}

bool narrower(Demand const &one, Demand const &other) {
  auto const patterns = [](Demand const &demand) {
    return std::ranges::count_if(demand.any_of, &Demand::Text::pattern);
  };
  return std::pair(patterns(one), one.any_of.size()) < std::pair(patterns(other), other.any_of.size());
}

Demands all_of(std::vector<NodePtr> const &operands) {
  Demands all{{}, true};
  for (auto const &operand : operands) {
    auto part = demands_of(*operand);
    all.complete = all.complete && part.complete;
    for (auto &demand : part.demands) {
      auto *known = find(all.demands, demand.field);
      if (known == nullptr) {
        all.demands.push_back(std::move(demand));
      } else {
        all.complete = false;
        if (narrower(demand, *known)) *known = std::move(demand);
      }
    }
  }
  return all;
}

// Only what every branch demands. Complete where each branch is, and speaks of that one field alone.
Demands any_of(std::vector<NodePtr> const &operands) {
  Demands any = demands_of(*operands.front());
  any.complete = any.complete && any.demands.size() == 1;
  for (auto operand = operands.begin() + 1; operand != operands.end(); ++operand) {
    auto part = demands_of(**operand);
    any.complete = any.complete && part.complete && part.demands.size() == 1;
    std::erase_if(any.demands, [&](Demand &demand) {
      auto *other = find(part.demands, demand.field);
      if (other == nullptr) return true;
      if (demand.folded != other->folded) any.complete = false;
      demand.folded = demand.folded || other->folded;
      demand.any_of.insert(demand.any_of.end(), other->any_of.begin(), other->any_of.end());
      return false;
    });
  }
  any.complete = any.complete && !any.demands.empty();
  return any;
}

Demands of(Logical const &is) {
  return is.op == Logical::Operator::conjunction ? all_of(is.operands) : any_of(is.operands);
}

template <class Other>
Demands of(Other const &) {
  return {};
}
}  // namespace

Demands demands_of(Node const &condition) {
  auto demands = std::visit([](auto const &is) { return of(is); }, condition.is);
  std::ranges::sort(demands.demands, {}, &Demand::field);
  return demands;
}

}  // namespace imdsgate::eql
