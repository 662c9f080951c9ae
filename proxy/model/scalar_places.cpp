// Aligns a scalar as YAML gives it with the bytes of the file it came from.
#include <algorithm>

#include "model/strict_yaml.hpp"

namespace imdsgate::yaml {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::size_t kLongestEscape = 12;  // \UXXXXXXXX and a little

bool is_space(char c) {
  return kSpace.find(c) != kSpace.npos;
}

// Past a tag or an anchor, then the opening quote or the block's header line.
std::size_t content_start(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == '!' || text[at] == '&')) {
    at = std::min(text.find_first_of(kSpace, at), text.size());
    at = std::min(text.find_first_not_of(kSpace, at), text.size());
  }
  if (at >= text.size()) return text.size();
  if (text[at] == '"' || text[at] == '\'') return at + 1;
  if (text[at] == '|' || text[at] == '>') {
    auto const line_end = text.find('\n', at);
    return line_end == text.npos ? text.size() : line_end + 1;
  }
  return at;
}

// Where `c` is found next at or after `at`: indentation and the backslashes of escapes lie between. An
// escape's own character does not stand in the file: then `at` itself.
std::size_t align(std::string_view text, std::size_t at, char c) {
  if (is_space(c)) return at;
  std::size_t next = at;
  while (next < text.size() && is_space(text[next])) ++next;
  std::size_t const limit = std::min(text.size(), next + kLongestEscape);
  for (std::size_t i = next; i < limit; ++i) {
    if (text[i] == c) return i;
  }
  return next;
}

}  // namespace

Places Reader::places(Value const &value) const {
  Places places;
  if (!value.node.IsScalar()) return places;
  std::string const &scalar = value.node.Scalar();
  places.reserve(scalar.size() + 1);
  auto const line = std::clamp<std::size_t>(std::size_t(std::max(value.place.line, 1)), 1, lines_.size()) - 1;
  std::size_t at =
      content_start(text_, std::min(text_.size(), lines_[line] + std::size_t(value.place.column) - 1));
  auto const place_at = [&](std::size_t offset) {
    auto const after = std::upper_bound(lines_.begin(), lines_.end(), offset);
    return Place{int(after - lines_.begin()), int(offset - *(after - 1)) + 1};
  };
  for (char const c : scalar) {
    at = align(text_, at, c);
    places.push_back(place_at(at));
    if (at < text_.size() && (text_[at] == c || (is_space(c) && is_space(text_[at])))) ++at;
  }
  places.push_back(place_at(at));
  return places;
}

std::optional<std::string> nearest(std::string_view word, std::vector<std::string> const &known) {
  std::optional<std::string> best;
  std::size_t best_distance = word.size() < 4 ? 2 : std::max<std::size_t>(2, word.size() / 3) + 1;
  for (std::string const &candidate : known) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i);
      for (std::size_t j = 1; j < row.size(); ++j) {
        std::size_t const replaced = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace imdsgate::yaml
