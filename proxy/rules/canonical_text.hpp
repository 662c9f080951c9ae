// A syntax tree as a text that is the same for what asks the same: white space, comments, ways to write a
// string and the order of a list make no difference. For comparison, not for reading.
#pragma once

#include <string>

#include "rules/ast.hpp"

namespace imdsgate::eql {

std::string canonical_text(Node const &node);

}  // namespace imdsgate::eql
