#include "report/json_writer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace imdsgate {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// Bytes that are written as they are.
constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  for (unsigned c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\' && c != '<';
  return plain;
}();

struct Range {
  char32_t first, last;
};
// C1 controls, line and paragraph separators, and general category Cf (Unicode 15), in order.
constexpr Range kInvisible[] = {
    {0x80, 0x9f},       {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},     {0x6dd, 0x6dd},
    {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},     {0x180e, 0x180e},   {0x200b, 0x200f},
    {0x2028, 0x202e},   {0x2060, 0x206f},   {0xfeff, 0xfeff},   {0xfff9, 0xfffb},   {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0001, 0xe007f},
};

bool invisible(char32_t point) {
  auto const *range =
      std::ranges::lower_bound(kInvisible, point, {}, [](Range const &candidate) { return candidate.last; });
  return range != std::end(kInvisible) && point >= range->first;
}

void append_unit(std::string &out, std::uint32_t unit) {
  char const text[] = {'\\',           'u', kHex[unit >> 12 & 15], kHex[unit >> 8 & 15], kHex[unit >> 4 & 15],
                       kHex[unit & 15]};
  out.append(text, sizeof text);
}

void append_point(std::string &out, char32_t point) {
  if (point < 0x10000) return append_unit(out, point);
  append_unit(out, 0xd800 + ((point - 0x10000) >> 10));
  append_unit(out, 0xdc00 + ((point - 0x10000) & 0x3ff));
}

void append_ascii(std::string &out, unsigned char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: append_unit(out, c);
  }
}

// The length of the well-formed sequence at the front of `text` and its code point; 0 when there is none
// (Unicode, table 3-7).
std::size_t decode(std::string_view text, char32_t &point) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned const lead = byte(0);
  std::size_t const length = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  unsigned const low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned const high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  point = lead & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3f);
  }
  return length;
}

}  // namespace

void append_escaped(std::string &out, std::string_view text) {
  std::size_t from = 0;
  for (std::size_t at = 0; at < text.size();) {
    auto const c = static_cast<unsigned char>(text[at]);
    if (kPlain[c]) {
      ++at;
      continue;
    }
    char32_t point = 0;
    std::size_t const length = c < 0x80 ? 0 : decode(text.substr(at), point);
    if (length > 0 && !invisible(point)) {
      at += length;
      continue;
    }
    out.append(text, from, at - from);
    if (length > 0) {
      append_point(out, point);
    } else if (c < 0x80) {
      append_ascii(out, c);
    } else {
      char const bytes[] = {'\\', '\\', 'x', kHex[c >> 4], kHex[c & 15]};
      out.append(bytes, sizeof bytes);
    }
    from = at += std::max<std::size_t>(length, 1);
  }
  out.append(text, from, text.size() - from);
}

void JsonWriter::separate() {
  if (comma_) out_ += ',';
}

JsonWriter &JsonWriter::begin_object() {
  separate();
  out_ += '{';
  comma_ = false;
  return *this;
}

JsonWriter &JsonWriter::end_object() {
  out_ += '}';
  comma_ = true;
  return *this;
}

JsonWriter &JsonWriter::begin_array() {
  separate();
  out_ += '[';
  comma_ = false;
  return *this;
}

JsonWriter &JsonWriter::end_array() {
  out_ += ']';
  comma_ = true;
  return *this;
}

JsonWriter &JsonWriter::key(std::string_view name) {
  separate();
  out_ += '"';
  append_escaped(out_, name);
  out_ += "\":";
  comma_ = false;
  return *this;
}

JsonWriter &JsonWriter::value(std::string_view text) {
  separate();
  out_ += '"';
  append_escaped(out_, text);
  out_ += '"';
  comma_ = true;
  return *this;
}

JsonWriter &JsonWriter::value(double number) {
  separate();
  if (std::isfinite(number)) {
    char digits[32];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  } else {
    out_ += number < 0 ? "-1e999" : "1e999";
  }
  comma_ = true;
  return *this;
}

JsonWriter &JsonWriter::null() {
  separate();
  out_ += "null";
  comma_ = true;
  return *this;
}

JsonWriter &JsonWriter::value(bool flag) {
  separate();
  out_ += flag ? "true" : "false";
  comma_ = true;
  return *this;
}

}  // namespace imdsgate
