// Value expressions (fields, literals, functions and arithmetic), compiled, and what a term asks of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rules/functions.hpp"
#include "rules/value_test.hpp"

namespace imdsgate::eql {

// One value of each field that the term names, by the order of Term::fields.
using Chosen = std::span<std::string_view const>;

struct ValueExpression {
  using Literal = std::variant<std::monostate, bool, Number, std::string>;
  struct Field {
    std::uint32_t index = 0;  // into Chosen
    bool address = false;
  };
  struct Called {
    Function const *function = nullptr;
    bool folded = false;
    std::vector<ValueExpression> arguments;
  };
  struct Tested {  // wildcard, match, cidrMatch
    std::shared_ptr<ValueExpression const> subject;
    std::shared_ptr<ValueTest const> test;
  };
  Type type = Type::text;
  std::variant<Literal, Field, Called, Tested> is;

  Literal const *literal() const { return std::get_if<Literal>(&is); }
  Field const *field() const { return std::get_if<Field>(&is); }
};

Value evaluate(ValueExpression const &expression, Chosen chosen, Texts &texts);

// True or false of one choice of values; false where a value is null.
struct Formula {
  struct Exists {};  // it is not null
  struct Holds {};   // it is true
  struct Fits {      // its text does
    ValueTest test;
  };
  struct Compares {
    Comparison::Operator op = Comparison::Operator::equal;
    enum class As { numbers, texts, booleans, fields, addresses } as = As::texts;
    ValueExpression right;
  };
  ValueExpression left;
  std::variant<Exists, Holds, Fits, Compares> asks;

  bool holds(Chosen chosen, Texts &texts) const;
};

}  // namespace imdsgate::eql
