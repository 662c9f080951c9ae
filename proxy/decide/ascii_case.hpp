// Case folding as HTTP field names and the path classes mean it: A to Z only, never a locale's; and what else
// a service may take for the same word.
#pragma once

#include <algorithm>
#include <iterator>
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

// Without the white space, control and non-ASCII bytes that a service may pass over.
inline std::string plain_word(std::string_view text) {
  std::string kept;
  std::ranges::copy_if(text, std::back_inserter(kept), [](char c) { return c > ' ' && c < '\x7f'; });
  return kept;
}

// Without all that is behind a NUL or #.
inline std::string_view cut_word(std::string_view text) {
  return text.substr(0, text.find_first_of(std::string_view("\0#", 2)));
}

// May a service take one for the other? Without case, as it is, plain, or cut and plain.
inline bool is_word(std::string_view given, std::string_view wanted) {
  if (given.size() <= wanted.size()) return equal_folded(given, wanted);
  return equal_folded(plain_word(given), wanted) || equal_folded(plain_word(cut_word(given)), wanted);
}

}  // namespace imdsgate
