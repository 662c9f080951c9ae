#include "decide/path_pattern.hpp"

#include <algorithm>
#include <optional>

#include "decide/ascii_case.hpp"

namespace imdsgate {
namespace {

bool at_end(std::string_view rest) {
  return rest.empty() || rest == "/";
}

char const *why_never(std::string_view segment) {
  if (segment == "." || segment == "..") return "a dot segment never matches a canonical path";
  if (segment != "**" && segment.find("**") != std::string_view::npos) {
    return "** stands for whole segments and must be one of its own";
  }
  return nullptr;
}

char const *why_never_char(char c) {
  auto const byte = static_cast<unsigned char>(c);
  if (c == '%') return "percent-encoding never matches: a path that has it is ambiguous";
  if (c == '\\' || c == ';') return "a backslash or ; never matches: a path that has it is ambiguous";
  if (c == '?' || c == '#') return "a pattern is matched on the path alone, without query or fragment";
  if (byte <= 0x20 || byte >= 0x7f) return "spaces, control and non-ASCII bytes never match";
  return nullptr;
}
}  // namespace

std::string canonical_path(std::string_view path) {
  std::string canonical;
  canonical.reserve(path.size() + 1);
  for (char const c : path) {
    if (c == '/' && !canonical.empty() && canonical.back() == '/') continue;
    canonical.push_back(c);
  }
  if (canonical.empty() || canonical.front() != '/') canonical.insert(canonical.begin(), '/');
  if (canonical.size() > 1 && canonical.back() == '/') canonical.pop_back();
  return canonical;
}

Result<std::string> normalise_pattern(std::string_view pattern) {
  if (!pattern.starts_with('/')) return Error{Errc::malformed, "a path pattern starts with a slash"};
  for (char const c : pattern) {
    if (auto const *why = why_never_char(c)) return Error{Errc::malformed, why};
  }
  std::string normal = canonical_path(pattern);
  std::string_view rest = normal;
  while (!at_end(rest)) {
    if (auto const *why = why_never(take_segment(rest))) return Error{Errc::malformed, why};
  }
  return normal;
}

std::string subtree_of(std::string_view path) {
  if (path == "/") path = {};
  return path.ends_with("/**") ? std::string(path) : std::string(path) + "/**";
}

std::string_view take_segment(std::string_view &rest) {
  rest.remove_prefix(std::min<std::size_t>(1, rest.size()));
  auto const end = std::min(rest.find('/'), rest.size());
  auto const segment = rest.substr(0, end);
  rest.remove_prefix(end);
  return segment;
}

// Greedy with one point of return: after a star has matched as little as possible, only the latest star ever
// needs to take more, so neither function can be made to backtrack exponentially.
bool segment_matches(std::string_view pattern, std::string_view segment, bool fold) {
  auto const same = [fold](char a, char b) { return fold ? fold_case(a) == fold_case(b) : a == b; };
  std::size_t p = 0, s = 0;
  std::optional<std::size_t> star;
  std::size_t taken = 0;
  while (s < segment.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      taken = s;
    } else if (p < pattern.size() && same(pattern[p], segment[s])) {
      ++p, ++s;
    } else if (star) {
      p = *star;
      s = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool path_matches(std::string_view pattern, std::string_view path, bool fold) {
  std::optional<std::string_view> star;
  std::string_view taken;
  while (!at_end(path)) {
    auto after_pattern = pattern;
    auto after_path = path;
    auto const wanted = at_end(pattern) ? std::string_view{} : take_segment(after_pattern);
    if (wanted == "**") {
      star = pattern = after_pattern;
      taken = path;
    } else if (!wanted.empty() && segment_matches(wanted, take_segment(after_path), fold)) {
      pattern = after_pattern;
      path = after_path;
    } else if (star) {
      take_segment(taken);
      pattern = *star;
      path = taken;
    } else {
      return false;
    }
  }
  while (!at_end(pattern)) {
    if (take_segment(pattern) != "**") return false;
  }
  return true;
}

}  // namespace imdsgate
