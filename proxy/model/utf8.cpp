#include "model/utf8.hpp"

namespace imdsgate {
namespace {

bool in(unsigned char c, unsigned low, unsigned high) {
  return c >= low && c <= high;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
  auto const continues = [&](std::size_t i) { return in(byte(i), 0x80, 0xBF); };
  unsigned char const lead = byte(0);
  if (lead < 0x80) return 1;
  if (in(lead, 0xC2, 0xDF)) return continues(1) ? 2 : 0;
  if (in(lead, 0xE0, 0xEF)) {
    unsigned const low = lead == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
    unsigned const high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
    return in(byte(1), low, high) && continues(2) ? 3 : 0;
  }
  if (in(lead, 0xF0, 0xF4)) {
    unsigned const low = lead == 0xF0 ? 0x90 : 0x80;
    unsigned const high = lead == 0xF4 ? 0x8F : 0xBF;
    return in(byte(1), low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t const length = utf8_length(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

bool append_utf8(std::string &text, char32_t character) {
  auto const put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF)) return false;
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | (character >> 6));
    put(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    put(0xE0 | (character >> 12));
    put(0x80 | ((character >> 6) & 0x3F));
    put(0x80 | (character & 0x3F));
  } else {
    put(0xF0 | (character >> 18));
    put(0x80 | ((character >> 12) & 0x3F));
    put(0x80 | ((character >> 6) & 0x3F));
    put(0x80 | (character & 0x3F));
  }
  return true;
}

}  // namespace imdsgate
