// TOML with places, by toml++.
#include <toml++/toml.h>

#include "model/utf8.hpp"
#include "rules/rule_node.hpp"

namespace imdsgate::rule_file {
namespace {

// toml++ counts characters; here columns are bytes.
class Positions {
 public:
  explicit Positions(std::string_view text) : text_(text), lines_(text) {}

  std::size_t offset(toml::source_position position) const {
    std::size_t at = lines_.offset(static_cast<int>(position.line));
    for (toml::source_index column = 1; column < position.column && at < text_.size(); ++column)
      at += std::max<std::size_t>(utf8_length(text_.substr(at)), 1);
    return at;
  }
  Place place(toml::source_position position) const { return lines_.at(offset(position)); }
  Place place_at(std::size_t offset) const { return lines_.at(offset); }
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
  Lines lines_;
};

// Where each byte of a text stands, walking along what it was written as.
class TextPlaces {
 public:
  TextPlaces(Positions const &positions, std::size_t at)
      : positions_(positions), raw_(positions.text()), at_(at) {
    char const quote = at < raw_.size() ? raw_[at] : '"';
    basic_ = quote == '"';
    bool const several_lines = raw_.substr(at, 3) == std::string(3, quote);
    at_ += several_lines ? 3 : 1;
    // A newline right behind the opening quotes is no part of the text.
    if (several_lines && raw_.substr(at_, 2) == "\r\n")
      at_ += 2;
    else if (several_lines && raw_.substr(at_, 1) == "\n")
      ++at_;
  }

  Places of(std::string_view text) {
    Places places;
    places.reserve(text.size() + 1);
    for (std::size_t i = 0; i < text.size();) {
      skip_line_ending_backslash();
      std::size_t const start = at_;
      bool const escape = basic_ && raw_.substr(at_, 1) == "\\";
      std::size_t const length = std::max<std::size_t>(utf8_length(text.substr(i)), 1);
      if (escape) {
        at_ += escape_length();
      } else if (text[i] == '\n' && raw_.substr(at_, 2) == "\r\n") {
        at_ += 2;
      } else {
        at_ += length;
      }
      for (std::size_t byte = 0; byte < length && i < text.size(); ++byte, ++i)
        places.push_back(positions_.place_at(escape ? start : start + byte));
    }
    places.push_back(positions_.place_at(at_));
    return places;
  }

 private:
  std::size_t escape_length() const {
    auto const letter = raw_.substr(at_ + 1, 1);
    return letter == "u" ? 6 : letter == "U" ? 10 : 2;
  }

  void skip_line_ending_backslash() {
    while (basic_ && raw_.substr(at_, 1) == "\\") {
      auto const next = raw_.find_first_not_of(" \t\r", at_ + 1);
      if (next == raw_.npos || raw_[next] != '\n') return;
      at_ = std::min(raw_.find_first_not_of(" \t\r\n", next), raw_.size());
    }
  }

  Positions const &positions_;
  std::string_view raw_;
  std::size_t at_;
  bool basic_ = true;
};

Node to_node(toml::node const &node, Positions const &positions);

Node to_node(toml::table const &table, Positions const &positions) {
  std::vector<Member> members;
  for (auto const &[key, value] : table) {
    members.push_back(
        {std::string(key.str()), positions.place(key.source().begin), to_node(value, positions)});
  }
  return {positions.place(table.source().begin), std::move(members), {}};
}

Node to_node(toml::node const &node, Positions const &positions) {
  auto const begin = node.source().begin;
  auto const place = positions.place(begin);
  if (auto const *table = node.as_table()) return to_node(*table, positions);
  if (auto const *array = node.as_array()) {
    std::vector<Node> items;
    for (auto const &item : *array) items.push_back(to_node(item, positions));
    return {place, std::move(items), {}};
  }
  if (auto const *text = node.as_string())
    return {place, text->get(), TextPlaces(positions, positions.offset(begin)).of(text->get())};
  if (auto const *number = node.as_integer()) return {place, number->get(), {}};
  if (auto const *number = node.as_floating_point()) return {place, number->get(), {}};
  if (auto const *flag = node.as_boolean()) return {place, flag->get(), {}};
  return {place, Node::Other{}, {}};
}

}  // namespace

Parsed parse_toml(std::string_view text, std::string const &file) {
  Parsed result;
  Positions const positions(text);
  try {
    result.nodes.push_back(to_node(toml::parse(text), positions));
  } catch (toml::parse_error const &error) {
    auto const place = positions.place(error.source().begin);
    result.problems.push_back(
        {file, place.line, place.column, false, "TOML: " + std::string(error.description())});
  }
  return result;
}

}  // namespace imdsgate::rule_file
