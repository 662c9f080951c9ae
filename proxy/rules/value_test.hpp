// What one value of a field is held against, compiled.
#pragma once

#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "model/address.hpp"
#include "rules/ast.hpp"
#include "rules/pattern_set.hpp"

namespace imdsgate::eql {

// One of some texts, patterns, numbers or addresses.
struct OneOf {
  PatternSet texts;
  std::vector<Number> numbers;
  std::vector<Address> addresses;
  bool address_field = false;  // patterns are then held against the address's canonical text

  bool fits(std::string_view value) const;
};

// value OP bound, OP one of < <= > >=. A value that is not of the bound's type does not fit.
struct Bound {
  Comparison::Operator op = Comparison::Operator::less;
  std::variant<Number, std::string, Address> bound;

  bool fits(std::string_view value) const;
};

// Any value at all: the field exists.
struct Any {
  bool fits(std::string_view) const { return true; }
};

using ValueTest = std::variant<Any, OneOf, Bound>;

// Decimal or scientific, the whole text; nullopt for anything else, white space and a leading + too.
std::optional<Number> read_number(std::string_view text);

}  // namespace imdsgate::eql
