// Points at a place in a query as compilers do: file, line and column, the line itself, a caret below it.
#pragma once

#include <string>
#include <string_view>

#include "rules/ast.hpp"
#include "rules/eql.hpp"

namespace imdsgate::eql {

// 'text', for a message.
std::string quoted(std::string_view text);

// Of a byte of the text, in its file.
Place place_at(std::size_t at, std::string_view text, Origin const &origin);

Problem problem_at(Failure const &failure, std::string_view text, Origin const &origin);

}  // namespace imdsgate::eql
