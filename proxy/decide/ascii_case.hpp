// Case folding as HTTP field names and the path classes mean it: A to Z only, never a locale's.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace imdsgate {

inline char fold_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

inline bool equal_folded(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return fold_case(x) == fold_case(y); });
}

inline std::string folded(std::string_view text) {
  std::string copy(text);
  std::ranges::transform(copy, copy.begin(), fold_case);
  return copy;
}

}  // namespace imdsgate
