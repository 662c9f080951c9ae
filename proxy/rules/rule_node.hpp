// A value of a rule file that is not YAML: JSON or TOML, with the place of everything, so that one reader
// serves both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/place.hpp"
#include "model/result.hpp"

namespace imdsgate::rule_file {

struct Member;

struct Node {
  struct Null {};
  struct Other {};  // a date or a time of TOML
  Place place;
  std::variant<Null, bool, std::int64_t, double, std::string, std::vector<Node>, std::vector<Member>, Other>
      value;
  Places places;  // of a text: where each of its bytes stands in the file
};

struct Member {
  std::string key;
  Place place;
  Node value;
};

// Offsets to lines and columns.
class Lines {
 public:
  explicit Lines(std::string_view text);
  Place at(std::size_t offset) const;
  std::size_t offset(int line) const;  // of its first byte; the text's size when there is no such line

 private:
  std::vector<std::size_t> starts_;
  std::size_t size_;
};

// What a file holds: one node a JSON object, or the one table of a TOML file. An error ends the object it is
// in.
struct Parsed {
  std::vector<Node> nodes;
  std::vector<Problem> problems;
};

// JSON objects one behind the other, each over as many lines as it likes. After an error it goes on at the
// next line that begins with `{`.
Parsed parse_json(std::string_view text, std::string const &file);

Parsed parse_toml(std::string_view text, std::string const &file);

}  // namespace imdsgate::rule_file
