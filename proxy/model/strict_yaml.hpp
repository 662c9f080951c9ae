// Reads the YAML a person writes, strictly: what is unknown, doubled or of the wrong type is a problem with
// its place, and every problem is collected. Pure; no exception leaves it.
//
// Types follow YAML 1.2's core schema: only true and false are booleans, a quoted text is never a number, and
// a number, a boolean or an empty value is no text. Tags, several documents and non-UTF-8 are refused.
//
//   Reader reader(file);
//   if (auto root = reader.load(text)) {
//     Map map(reader, *root);
//     if (auto value = map.find("port")) settings.port = reader.unsigned_integer(*value, 1,
//     65535).value_or(0); map.finish();                       // names the keys nobody asked for
//   }
//   problems = reader.problems();
#pragma once

#include <yaml-cpp/yaml.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/place.hpp"
#include "model/result.hpp"

namespace imdsgate::yaml {

// A node with its place and the name problems call it by ("listen.port", "allow[2].when"; "" is the file).
struct Value {
  YAML::Node node;
  Place place;
  std::string name;
};

class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  // The file's one document. nullopt: it cannot be parsed, and the problem is collected; an empty file is an
  // empty map.
  std::optional<Value> load(std::string_view text);

  void error(Place place, std::string text);
  void error(Value const &value, std::string text);  // "<name>: <text>"
  void warning(Value const &value, std::string text);
  void add(Problem problem);
  bool ok() const;  // no error yet
  std::vector<Problem> const &problems() const { return problems_; }
  std::vector<Problem> take() { return std::move(problems_); }
  std::string const &file() const { return file_; }

  // Each collects a problem and answers nullopt when the value is not of its type, or out of range.
  std::optional<std::string> text(Value const &value);           // not empty
  std::optional<std::string> text_or_empty(Value const &value);  // "" too
  std::optional<bool> boolean(Value const &value);
  std::optional<std::uint64_t> unsigned_integer(Value const &value, std::uint64_t least, std::uint64_t most);
  std::optional<std::chrono::milliseconds> duration(Value const &value, std::chrono::milliseconds least,
                                                    std::chrono::milliseconds most);
  std::optional<std::uint64_t> size(Value const &value, std::uint64_t least, std::uint64_t most);
  std::optional<std::chrono::system_clock::time_point> timestamp(Value const &value);
  std::optional<std::vector<Value>> list(Value const &value);  // each item, named name[i]
  std::optional<std::vector<std::string>> text_list(Value const &value);

  // One of the named values; the problem lists them all.
  template <class Enum>
  std::optional<Enum> choice(Value const &value,
                             std::initializer_list<std::pair<std::string_view, Enum>> const &choices) {
    auto const scalar = bare_scalar(value);
    std::string names;
    for (auto const &[name, result] : choices) {
      if (scalar && *scalar == name) return result;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    not_one_of(value, names);
    return std::nullopt;
  }

  // Where each byte of a scalar's text stands in the file, whatever its style (block, folded, quoted, plain).
  Places places(Value const &value) const;

 private:
  std::optional<std::string> bare_scalar(Value const &value) const;
  std::optional<std::string> quantity_text(Value const &value, std::string_view expected);
  std::optional<std::string> number_text(Value const &value, std::string_view expected);
  void not_one_of(Value const &value, std::string const &names);
  void expected(Value const &value, std::string_view what);

  std::string file_;
  std::string text_;
  std::vector<std::size_t> lines_;  // the offset of each line's first byte
  std::vector<Problem> problems_;
};

// The keys of one map. Reports a doubled key and a value that is no map when it is made, an unknown key when
// finish() is called: unknown is what find() and ignore() were not asked for.
class Map {
 public:
  Map(Reader &reader, Value const &value);

  std::optional<Value> find(std::string_view key);
  std::optional<Value> require(std::string_view key);  // an error when it is absent
  void ignore(std::string_view key) { find(key); }     // known, and not used
  std::vector<std::pair<std::string, Value>> each();   // of a map whose keys are the operator's to choose
  void finish();

  bool is_map() const { return is_map_; }

 private:
  struct Entry {
    std::string key;
    Place place;
    Value value;
    bool asked = false;
  };
  std::string qualified(std::string_view key) const;

  Reader &reader_;
  Value self_;
  bool is_map_ = false;
  std::vector<Entry> entries_;
  std::vector<std::string> known_;
};

// The one of `known` that `word` was probably meant to be; nullopt when none is near.
std::optional<std::string> nearest(std::string_view word, std::vector<std::string> const &known);

}  // namespace imdsgate::yaml
