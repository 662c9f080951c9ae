// EQL's tokens to a syntax tree; expressions by precedence climbing.
// Binding, weakest first: or, and, not, comparisons and predicates, + -, * / %, unary minus.
#pragma once

#include <string_view>
#include <variant>

#include "rules/ast.hpp"

namespace imdsgate::eql {

// Nesting and length are limited (200 levels, 500 arithmetic operators a condition, 256 KiB), so that no text
// can exhaust the stack. Never throws.
std::variant<EventQuery, Failure> parse_event_query(std::string_view text);
std::variant<EventQuery, SequenceQuery, Failure> parse_query(std::string_view text);
std::variant<NodePtr, Failure> parse_expression(std::string_view text);

}  // namespace imdsgate::eql
