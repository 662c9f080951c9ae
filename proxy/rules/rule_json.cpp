// JSON with places. Boost.JSON's parser says nothing of where it is, so it is fed byte by byte: what it
// calls, it calls for the byte it was just given. A rule file is small enough for that.
#include <boost/json/basic_parser_impl.hpp>

#include <algorithm>

#include "rules/rule_node.hpp"

namespace imdsgate::rule_file {
namespace {

constexpr std::size_t kDeepest = 64;

class Builder {
 public:
  using Code = boost::json::error_code;
  using Text = boost::json::string_view;
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  Builder(std::string_view file, Lines const &lines) : file_(file), lines_(lines) {}

  void start(std::size_t at) {
    end_ = at;
    open_.clear();
    keys_.clear();
    root_ = Node{};
    reset_text();
  }
  void at(std::size_t offset) { at_ = offset; }
  Node take() { return std::move(root_); }

  bool on_document_begin(Code &) { return true; }
  bool on_document_end(Code &) { return true; }
  bool on_object_begin(Code &) { return open(std::vector<Member>()); }
  bool on_object_end(std::size_t, Code &) { return close(); }
  bool on_array_begin(Code &) { return open(std::vector<Node>()); }
  bool on_array_end(std::size_t, Code &) { return close(); }

  bool on_key_part(Text text, std::size_t, Code &) { return part(text); }
  bool on_key(Text text, std::size_t, Code &) {
    part(text);
    keys_.back() = {std::move(text_), token_place(), Node{}};
    return done();
  }
  bool on_string_part(Text text, std::size_t, Code &) { return part(text); }
  bool on_string(Text text, std::size_t, Code &) {
    part(text);
    places_.push_back(lines_.at(at_));  // the closing quote
    Node node{token_place(), std::move(text_), std::move(places_)};
    return add(std::move(node));
  }
  bool on_number_part(Text, Code &) { return true; }
  bool on_int64(std::int64_t number, Text, Code &) { return scalar(number); }
  bool on_uint64(std::uint64_t number, Text, Code &) { return scalar(static_cast<double>(number)); }
  bool on_double(double number, Text, Code &) { return scalar(number); }
  bool on_bool(bool flag, Code &) { return scalar(flag); }
  bool on_null(Code &) { return scalar(Node::Null{}); }
  bool on_comment_part(Text, Code &) { return true; }
  bool on_comment(Text, Code &) { return true; }

 private:
  // Where the key or value began that ends here: behind what came before it.
  std::size_t token() const { return std::min(file_.find_first_not_of(" \t\r\n:,", end_), at_); }
  Place token_place() const { return lines_.at(token()); }

  bool part(std::string_view piece) {
    if (piece.empty()) return true;
    // A text's first piece begins behind its quote. A piece that is not as long as what was read for it is an
    // escape.
    std::size_t const start = text_.empty() ? token() + 1 : piece_end_;
    bool const as_written = at_ + 1 - start == piece.size();
    for (std::size_t i = 0; i < piece.size(); ++i)
      places_.push_back(lines_.at(as_written ? start + i : start));
    text_ += piece;
    piece_end_ = at_ + 1;
    return true;
  }

  void reset_text() {
    text_.clear();
    places_.clear();
  }

  bool done() {
    end_ = at_ + 1;
    reset_text();
    return true;
  }

  template <class Value>
  bool scalar(Value value) {
    return add(Node{token_place(), std::move(value), {}});
  }

  template <class Container>
  bool open(Container container) {
    open_.push_back(Node{lines_.at(at_), std::move(container), {}});
    keys_.emplace_back();
    return done();
  }

  bool close() {
    Node node = std::move(open_.back());
    open_.pop_back();
    keys_.pop_back();
    return add(std::move(node));
  }

  bool add(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (auto *const items = std::get_if<std::vector<Node>>(&open_.back().value)) {
      items->push_back(std::move(node));
    } else {
      keys_.back().value = std::move(node);
      std::get<std::vector<Member>>(open_.back().value).push_back(std::move(keys_.back()));
    }
    return done();
  }

  std::string_view file_;
  Lines const &lines_;
  std::size_t at_ = 0;         // the byte being parsed
  std::size_t end_ = 0;        // behind the last key or value
  std::size_t piece_end_ = 0;  // behind the last piece of the text being read
  std::string text_;
  Places places_;
  std::vector<Node> open_;
  std::vector<Member> keys_;  // of each open container the key whose value is read
  Node root_;
};

std::size_t next_object(std::string_view text, std::size_t at) {
  auto const found = text.find("\n{", at);
  return found == text.npos ? text.size() : found + 1;
}

}  // namespace

Lines::Lines(std::string_view text) : starts_{0}, size_(text.size()) {
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1))
    starts_.push_back(at + 1);
}

Place Lines::at(std::size_t offset) const {
  auto const after = std::upper_bound(starts_.begin(), starts_.end(), offset);
  return {static_cast<int>(after - starts_.begin()), static_cast<int>(offset - *(after - 1)) + 1};
}

std::size_t Lines::offset(int line) const {
  auto const index = static_cast<std::size_t>(std::max(line, 1)) - 1;
  return index < starts_.size() ? starts_[index] : size_;
}

Parsed parse_json(std::string_view text, std::string const &file) {
  Parsed result;
  Lines const lines(text);
  boost::json::parse_options options;
  options.max_depth = kDeepest;
  boost::json::basic_parser<Builder> parser(options, text, lines);
  std::size_t at = 0;
  while ((at = std::min(text.find_first_not_of(" \t\r\n", at), text.size())) < text.size()) {
    parser.reset();
    auto &builder = parser.handler();
    builder.start(at);
    boost::json::error_code code;
    auto const begin = at;
    bool const object = text[at] == '{';
    while (object && !code && at < text.size() && !parser.done()) {
      builder.at(at);
      parser.write_some(true, text.data() + at, 1, code);
      if (!code) ++at;
    }
    if (object && !code && parser.done()) {
      result.nodes.push_back(builder.take());
      continue;
    }
    auto const place = lines.at(object ? at : begin);
    std::string const why =
        !object ? "expected a JSON object" : "JSON: " + (code ? code.message() : "the object does not end");
    result.problems.push_back({file, place.line, place.column, false, why});
    at = next_object(text, at);
  }
  return result;
}

}  // namespace imdsgate::rule_file
