#include "rules/excerpt.hpp"

#include <algorithm>

namespace imdsgate::eql {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kContext = 60;  // bytes shown before the caret at most

std::size_t line_start_of(std::size_t at, std::string_view text) {
  auto const newline = at == 0 ? text.npos : text.rfind('\n', at - 1);
  return newline == text.npos ? 0 : newline + 1;
}

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

// Not "'" + …: g++ 12 at -O3 warns of an overlap there that cannot be (its bug 105651).
std::string quoted(std::string_view text) {
  std::string result;
  result.reserve(text.size() + 2);
  result += '\'';
  result += text;
  result += '\'';
  return result;
}

Place place_at(std::size_t at, std::string_view text, Origin const &origin) {
  if (at < origin.places.size()) return origin.places[at];
  int const line =
      static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  int const column = static_cast<int>(at - line_start_of(at, text));
  return {origin.line + line, column + (line == 0 ? origin.column : 1 + origin.indent)};
}

Problem problem_at(Failure const &failure, std::string_view text, Origin const &origin) {
  std::size_t const at = std::min(failure.at, text.size());
  std::size_t const line_start = line_start_of(at, text);
  std::size_t const line_end = std::min(text.find('\n', at), text.size());
  Place const place = place_at(at, text, origin);

  std::size_t begin = at - line_start > kContext ? at - kContext : line_start;
  while (begin < at && continues_character(text[begin])) ++begin;
  std::size_t end = std::min(line_end, begin + kWidth);
  while (end < line_end && continues_character(text[end])) ++end;
  std::string shown, below;
  for (std::size_t i = begin; i < end; ++i) {
    bool const control = static_cast<unsigned char>(text[i]) < 0x20 || text[i] == 0x7F;
    shown += control ? ' ' : text[i];
    if (i < at && !continues_character(text[i])) below += ' ';
  }
  return {origin.file, place.line, place.column, false, failure.text + "\n  " + shown + "\n  " + below + '^'};
}

}  // namespace imdsgate::eql
