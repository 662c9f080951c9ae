#include "decide/readings.hpp"

#include <algorithm>
#include <boost/url/grammar/hexdig_chars.hpp>
#include <boost/url/params_view.hpp>
#include <boost/url/pct_string_view.hpp>
#include <boost/url/rfc/pchars.hpp>

#include "decide/path_pattern.hpp"

namespace imdsgate {
namespace {
namespace urls = boost::urls;

constexpr int kDecodings = 3;  // a proxy and a service decode once each; one more for the next product

bool triple_at(std::string_view text, std::size_t at) {
  return text.size() - at >= 3 && urls::grammar::hexdig_chars(text[at + 1]) &&
         urls::grammar::hexdig_chars(text[at + 2]);
}

// Boost.URL parses what RFC 3986 allows and nothing else. Escaping the rest first keeps its parser, and its
// answer for `%zz` or a raw bracket is the text itself.
std::string escape_illegal(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string legal;
  legal.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto const byte = static_cast<unsigned char>(text[i]);
    bool const as_is =
        text[i] == '%' ? triple_at(text, i) : urls::pchars(text[i]) || text[i] == '/' || text[i] == '?';
    if (as_is) {
      legal.push_back(text[i]);
    } else {
      legal.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return legal;
}

bool control_or_foreign(char c) {
  auto const byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte >= 0x7f;
}

std::string resolve_dot_segments(std::string_view path) {
  std::string resolved;
  while (!path.empty() && path != "/") {
    auto const segment = take_segment(path);
    if (segment == "..") {
      resolved.erase(std::min(resolved.rfind('/'), resolved.size()));
    } else if (segment != ".") {
      resolved.append("/").append(segment);
    }
  }
  return canonical_path(resolved);
}

std::string without_parameters(std::string_view path) {
  std::string plain;
  while (!path.empty()) {
    auto const segment = take_segment(path);
    plain.append("/").append(segment.substr(0, segment.find(';')));
  }
  return plain;
}

std::string without_control(std::string_view path) {
  std::string plain;
  std::ranges::copy_if(path, std::back_inserter(plain), [](char c) { return !control_or_foreign(c); });
  return plain;
}

void add(std::vector<Reading> &all, std::string_view path, QueryParameters const &query) {
  Reading reading{canonical_path(path), query};
  auto const known = [&](Reading const &other) {
    return other.path == reading.path && other.query == reading.query;
  };
  if (std::ranges::none_of(all, known)) all.push_back(std::move(reading));
}

// A decoded path may hold a ? or # of its own; a C string ends at a NUL.
void add_spellings(std::vector<Reading> &all, std::string_view path, QueryParameters const &query) {
  std::string slashed(path);
  std::ranges::replace(slashed, '\\', '/');
  for (std::string_view const spelling : {path, std::string_view(slashed)}) {
    for (auto const &plain :
         {std::string(spelling), without_parameters(spelling), without_control(spelling)}) {
      add(all, plain, query);
      add(all, resolve_dot_segments(canonical_path(plain)), query);
      auto const end = plain.find_first_of(std::string_view("?#\0", 3));
      if (end == std::string::npos) continue;
      auto const shorter = resolve_dot_segments(canonical_path(plain.substr(0, end)));
      auto longer = decode_query(std::string_view(plain).substr(end + 1));
      longer.insert(longer.end(), query.begin(), query.end());
      add(all, shorter, longer);
    }
  }
}
// The path behind `//host`, with one slash, so that it has no further authority.
std::string_view beneath_authority(std::string_view path) {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  path.remove_prefix(std::min(path.find('/'), path.size()));
  while (path.starts_with("//")) path.remove_prefix(1);
  return path;
}
}  // namespace

std::string percent_decode(std::string_view text) {
  auto const legal = escape_illegal(text);
  return urls::make_pct_string_view(legal).value().decode();
}

QueryParameters decode_query(std::string_view query) {
  QueryParameters parameters;
  if (query.empty()) return parameters;
  auto const legal = escape_illegal(query);
  urls::encoding_opts options;
  options.space_as_plus = true;
  for (auto const parameter : urls::params_view(legal, options)) {
    parameters.emplace_back(parameter.key, parameter.value);
  }
  return parameters;
}

Target split_target(std::string_view target) {
  auto const mark = target.find('?');
  if (mark == std::string_view::npos) return {target, {}};
  return {target.substr(0, mark), target.substr(mark + 1)};
}

bool ambiguous_path(std::string_view path) {
  auto const odd = [](char c) { return c == '%' || c == '\\' || c == ';' || control_or_foreign(c); };
  if (std::ranges::any_of(path, odd)) return true;
  while (!path.empty()) {
    auto const segment = take_segment(path);
    if (segment == "." || segment == "..") return true;
  }
  return false;
}

std::vector<Reading> readings(Target const &target) {
  std::vector<Reading> all;
  add(all, target.path, decode_query(target.query));
  // `;` parts parameters for some servers, some decode a query twice, and a second ? may be taken for the
  // first.
  if (target.query.find_first_of("%;?") != std::string_view::npos) {
    auto twice = percent_decode(target.query);
    add(all, target.path, decode_query(twice));
    std::ranges::replace_if(
        twice, [](char c) { return c == ';' || c == '?'; }, '&');
    add(all, target.path, decode_query(twice));
  }
  // RFC 3986 §4.2: what follows two slashes is an authority.
  if (target.path.starts_with("//")) {
    for (auto &reading : readings({beneath_authority(target.path), target.query}))
      all.push_back(std::move(reading));
  }
  if (size(target) > kLongestRead || !ambiguous_path(target.path)) return all;
  auto const queries = all;
  for (auto const &[unused, query] : queries) {
    std::string path(target.path);
    for (int round = 0; round <= kDecodings; ++round) {
      add_spellings(all, path, query);
      auto next = percent_decode(path);
      if (next == path) break;
      path = std::move(next);
    }
  }
  return all;
}

}  // namespace imdsgate
