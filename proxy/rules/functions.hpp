// The functions of the language, by their names.
// https://www.elastic.co/guide/en/elasticsearch/reference/current/eql-function-ref.html; where that is
// silent:
//
// - An argument that is null, or no value of the kind that is asked for, makes the result null.
// - Lengths and positions count characters (code points), a byte of ill-formed UTF-8 as one. Letters fold as
// in `:`: ASCII
//   only.
// - An integer result that does not fit 64 bits is a real number, a real one that is not finite is null.
// Division by zero
//   is null. A quotient of two integers is rounded down (-7 / 2 is -4); a remainder has the sign of the
//   dividend.
// - Reals given as a position or a base are cut to integers. A negative start of indexOf is 0. An empty text
// is
//   found at the start, which is the length where that is less, as in Java's indexOf. between() with
// an empty
//   text, left or right is the text.
// - string() and concat() write an integer in decimal, a real in its shortest form, booleans as true and
// false.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "rules/value.hpp"

namespace imdsgate::eql {

enum class Type { boolean, number, text, field };  // field: a text that may be read as any of the others

enum class Parameter { boolean, number, text, any, pattern };  // pattern: a string literal

struct Function {
  std::string_view name;
  std::array<Parameter, 4> parameters;
  std::size_t least, most;  // arguments; those beyond the parameters are like the last one
  Type result;
  bool folds;  // has a form with ~
  // Arguments of the kinds asked for, none null. nullptr: wildcard, match and cidrMatch, which are tests of a
  // value.
  Value (*call)(std::span<Value const> arguments, bool folded, Texts &texts);
};

inline constexpr std::size_t kMostArguments = 32;                      // of a function that is called
inline constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);  // Function::most of the others

std::span<Function const> functions();
// In any case of its ASCII letters, as in Elasticsearch: published rules write cidrmatch(…). nullptr: there
// is none.
Function const *find_function(std::string_view name);
Function const &function_of(char op);  // + - * / %

// The value as a parameter takes it; null when it is of another kind. `raw`: it comes from a field.
Value converted(Value const &value, Parameter parameter, bool raw);

}  // namespace imdsgate::eql
