#include "replay/event_reader.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <functional>
#include <optional>

#include "replay/timestamp.hpp"

namespace imdsgate {
namespace {

constexpr std::string_view kTime = "@timestamp";
constexpr std::string_view kCategory = "event.category";

// The names of the fields, a node a segment; the path to a value is walked down while it is parsed.
class FieldTree {
 public:
  using Index = std::int32_t;
  static constexpr Index kNone = -1;  // no rule names anything below

  struct Node {
    std::string segment;
    std::uint32_t field = eql::FieldTable::kUnnamed;
    bool category = false;
    bool time = false;
    std::vector<Index> children;
  };

  explicit FieldTree(eql::FieldTable const &fields) : nodes_(1) {
    std::uint32_t number = 0;
    for (auto const &name : fields.names()) nodes_[at(add(name))].field = number++;
    nodes_[at(add(kTime))].time = true;
    nodes_[at(add(kCategory))].category = true;
  }

  Node const &operator[](Index node) const { return nodes_[at(node)]; }

  // Below `node`, by a key that may hold dots.
  Index down(Index node, std::string_view key) const {
    while (node != kNone) {
      auto const dot = key.find('.');
      node = child(node, key.substr(0, dot));
      if (dot == key.npos) return node;
      key.remove_prefix(dot + 1);
    }
    return kNone;
  }

 private:
  static std::size_t at(Index node) { return static_cast<std::size_t>(node); }

  Index child(Index node, std::string_view segment) const {
    for (Index const child : nodes_[at(node)].children) {
      if (nodes_[at(child)].segment == segment) return child;
    }
    return kNone;
  }

  Index add(std::string_view name) {
    Index node = 0;
    for (;;) {
      auto const dot = name.find('.');
      auto const segment = name.substr(0, dot);
      Index next = child(node, segment);
      if (next == kNone) {
        next = static_cast<Index>(nodes_.size());
        nodes_.emplace_back().segment = segment;
        nodes_[at(node)].children.push_back(next);
      }
      node = next;
      if (dot == name.npos) return node;
      name.remove_prefix(dot + 1);
    }
  }

  std::vector<Node> nodes_;
};

}  // namespace

// What basic_parser calls
// (https://www.boost.org/doc/libs/1_81_0/libs/json/doc/html/json/ref/boost__json__basic_parser.html). A text
// arrives whole, as part of the line, unless it holds escapes: then in pieces that are gone afterwards.
class EventReader::Handler {
 public:
  using Code = boost::json::error_code;
  using Text = boost::json::string_view;
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  explicit Handler(eql::FieldTable const &fields) : tree_(fields) {}

  void start(std::string_view line, eql::Row &row) {
    line_ = line;
    row_ = &row;
    row.clear();
    parents_.clear();
    current_ = FieldTree::kNone;
    object_ = false;
    time_ = std::nullopt;
    times_ = 0;
    piece_ = kNoPiece;
    // A decoded text is never longer than what it was written as, so nothing that is borrowed moves.
    decoded_.clear();
    if (decoded_.capacity() < line.size()) decoded_.reserve(line.size() * 2);
  }

  bool object() const { return object_; }
  unsigned times() const { return times_; }
  std::optional<std::int64_t> time() const { return time_; }

  bool on_document_begin(Code &) { return true; }
  bool on_document_end(Code &) { return true; }
  bool on_object_begin(Code &) {
    if (parents_.empty()) {
      object_ = true;
      current_ = 0;
    }
    parents_.push_back(current_);
    return true;
  }
  bool on_object_end(std::size_t, Code &) { return leave(); }
  bool on_array_begin(Code &) {
    parents_.push_back(current_);
    return true;
  }
  bool on_array_end(std::size_t, Code &) { return leave(); }

  bool on_key_part(Text text, std::size_t, Code &) { return part(text); }
  bool on_key(Text text, std::size_t, Code &) {
    auto const parent = parents_.back();
    current_ = parent == FieldTree::kNone ? parent : tree_.down(parent, whole(text));
    piece_ = kNoPiece;
    return true;
  }
  bool on_string_part(Text text, std::size_t, Code &) { return part(text); }
  bool on_string(Text text, std::size_t, Code &) { return value(text); }
  bool on_number_part(Text text, Code &) { return part(text); }
  bool on_int64(std::int64_t, Text text, Code &) { return value(text); }
  bool on_uint64(std::uint64_t, Text text, Code &) { return value(text); }
  bool on_double(double, Text text, Code &) { return value(text); }
  bool on_bool(bool flag, Code &) { return value(flag ? "true" : "false"); }
  bool on_null(Code &) { return true; }
  bool on_comment_part(Text, Code &) { return true; }
  bool on_comment(Text, Code &) { return true; }

 private:
  static constexpr std::size_t kNoPiece = std::size_t(-1);

  // What an object or an array stood for is what the next element of its array stands for.
  bool leave() {
    current_ = parents_.back();
    parents_.pop_back();
    return true;
  }

  bool part(Text text) {
    if (piece_ == kNoPiece) piece_ = decoded_.size();
    decoded_.append(text);
    return true;
  }

  std::string_view whole(std::string_view last) {
    if (piece_ != kNoPiece) {
      decoded_.append(last);
      return std::string_view(decoded_).substr(piece_);
    }
    // Compared as the standard's std::less does, for `last` may be anywhere.
    std::less<> const before;
    if (!before(last.data(), line_.data()) && before(last.data(), line_.data() + line_.size())) return last;
    auto const at = decoded_.size();
    decoded_.append(last);
    return std::string_view(decoded_).substr(at);
  }

  bool value(std::string_view last) {
    if (current_ == FieldTree::kNone) {
      piece_ = kNoPiece;
      return true;
    }
    auto const &node = tree_[current_];
    bool const wanted = node.field != eql::FieldTable::kUnnamed || node.category || node.time;
    if (wanted) take(node, whole(last));
    piece_ = kNoPiece;
    return true;
  }

  void take(FieldTree::Node const &node, std::string_view text) {
    if (node.field != eql::FieldTable::kUnnamed) row_->add(node.field, text);
    if (node.category) row_->add_category(text);
    if (!node.time) return;
    ++times_;
    time_ = recorded_time(text);
  }

  FieldTree tree_;
  std::string_view line_;
  eql::Row *row_ = nullptr;
  std::vector<FieldTree::Index> parents_;  // what the open objects and arrays stand for
  FieldTree::Index current_ = FieldTree::kNone;
  std::string decoded_;
  std::size_t piece_ = kNoPiece;  // where in decoded_ the text that arrives in pieces begins
  bool object_ = false;
  std::optional<std::int64_t> time_;
  unsigned times_ = 0;
};

EventReader::EventReader(eql::FieldTable const &fields) {
  boost::json::parse_options options;
  options.max_depth = kDeepest;
  parser_ = std::make_unique<boost::json::basic_parser<Handler>>(options, fields);
}

EventReader::~EventReader() = default;

Result<std::int64_t> EventReader::read(std::string_view line, eql::Row &row) {
  auto &handler = parser_->handler();
  handler.start(line, row);
  parser_->reset();
  boost::json::error_code code;
  auto const end = parser_->write_some(false, line.data(), line.size(), code);
  bool const more = line.find_first_not_of(" \t\r", end) != line.npos;
  if (!code && more) code = boost::json::make_error_code(boost::json::error::extra_data);
  if (code) {
    return Error{Errc::malformed,
                 "not a JSON object: " + code.message() + " at column " + std::to_string(end + 1)};
  }
  if (!handler.object()) return Error{Errc::malformed, "not a JSON object"};
  if (handler.times() == 0) return Error{Errc::malformed, "@timestamp is missing"};
  if (handler.times() > 1) return Error{Errc::malformed, "@timestamp has several values"};
  if (!handler.time()) {
    return Error{Errc::malformed, "@timestamp is neither ISO 8601 nor milliseconds since the epoch"};
  }
  return *handler.time();
}

}  // namespace imdsgate
