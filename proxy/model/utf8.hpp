// UTF-8 as RFC 3629 §4 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace imdsgate {

// Bytes of the well-formed character at the front of `text`; 0: ill-formed, or empty.
std::size_t utf8_length(std::string_view text);

// Where the first ill-formed sequence begins; nullopt: the whole text is well-formed.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

// Appends the character; false, and nothing appended, when there is none of that number.
bool append_utf8(std::string &text, char32_t character);

}  // namespace imdsgate
