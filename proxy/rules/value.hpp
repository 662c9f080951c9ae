// A value while a condition is decided, and where the texts that functions make are kept meanwhile.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rules/ast.hpp"

namespace imdsgate::eql {

using Value = std::variant<std::monostate, bool, Number, std::string_view>;  // monostate: null

inline bool is_null(Value const &value) {
  return value.index() == 0;
}

// Texts that live until reset(). Keeps their memory.
class Texts {
 public:
  std::string &next() {
    if (used_ == texts_.size()) texts_.push_back(std::make_unique<std::string>());
    std::string &text = *texts_[used_++];
    text.clear();
    return text;
  }
  void reset() { used_ = 0; }

 private:
  std::vector<std::unique_ptr<std::string>> texts_;  // they stay where they are
  std::size_t used_ = 0;
};

}  // namespace imdsgate::eql
