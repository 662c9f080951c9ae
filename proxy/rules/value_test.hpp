// What one value of a field is held against, compiled.
#pragma once

#include <compare>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "model/address.hpp"
#include "rules/ast.hpp"
#include "rules/pattern_set.hpp"
#include "rules/regex.hpp"

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

// An address in one of some networks.
struct Networks {
  struct Network {
    Address address;
    int bits = 0;  // of 128: IPv4 networks are those of the mapped addresses
  };
  std::vector<Network> networks;

  bool fits(std::string_view value) const;
  // 10.0.0.0/8, fd00::/8; bits beyond the prefix may be set. An address alone is the network of that one.
  static std::optional<Network> parse(std::string_view text);
};

using ValueTest = std::variant<Any, OneOf, Bound, Networks, Regex>;

std::partial_ordering compare(Number const &a, Number const &b);
bool holds(Comparison::Operator op, std::partial_ordering order);

// Decimal or scientific, the whole text; nullopt for anything else, white space and a leading + too.
std::optional<Number> read_number(std::string_view text);

}  // namespace imdsgate::eql
