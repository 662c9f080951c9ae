// What a target could mean to whoever reads it next: the same path and query after each of the decodings that
// servers and proxies in the field apply. A path class is the highest of all its readings.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imdsgate {

using QueryParameters = std::vector<std::pair<std::string, std::string>>;

// Decoded pairs in their order, repeated keys kept; `+` is a space. A stray % or a byte that RFC 3986 does
// not allow stands for itself: real agents send those.
QueryParameters decode_query(std::string_view query);

// One round of percent-decoding, a stray % standing for itself.
std::string percent_decode(std::string_view text);

struct Target {
  std::string_view path;
  std::string_view query;  // without the question mark
};
Target split_target(std::string_view target);

// The path holds what parsers disagree on: percent-encoding, dot segments, a backslash, `;`, control or
// non-ASCII bytes.
bool ambiguous_path(std::string_view path);

struct Reading {
  std::string path;  // canonical
  QueryParameters query;
};

// An ambiguous path that is, with its query, longer than any service has is not worth its readings, so that
// nobody can make the loop work through them.
constexpr std::size_t kLongestRead = 2048;
inline std::size_t size(Target const &target) {
  return target.path.size() + target.query.size();
}

// Every reading, the plain one first. One alone when neither path nor query can be read otherwise; of a path
// that is too long, those of the query.
std::vector<Reading> readings(Target const &target);

}  // namespace imdsgate
