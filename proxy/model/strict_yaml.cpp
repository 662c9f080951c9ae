#include "model/strict_yaml.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include <yaml-cpp/eventhandler.h>

#include "model/quantity.hpp"
#include "model/utf8.hpp"

namespace imdsgate::yaml {
namespace {

constexpr std::string_view kPlain = "?";  // yaml-cpp's tag of an unquoted scalar
constexpr std::string_view kQuoted = "!";
constexpr std::string_view kString = "tag:yaml.org,2002:str";

Place place_of(YAML::Mark const &mark) {
  return {mark.line + 1, mark.column + 1};
}

// What YAML 1.2's core schema reads an unquoted scalar as; empty: as text.
std::string_view core_type(YAML::Node const &node) {
  if (node.IsNull()) return "nothing";
  if (node.Tag() != kPlain) return {};
  std::string const &scalar = node.Scalar();
  if (scalar == "true" || scalar == "false") return "a boolean";
  if (scalar == "null" || scalar == "~" || scalar.empty()) return "nothing";
  std::string_view number = scalar;
  if (number.front() == '-' || number.front() == '+') number.remove_prefix(1);
  if (parse_unsigned(number)) return "a number";
  double value = 0;
  auto const [end, ec] = std::from_chars(number.data(), number.data() + number.size(), value);
  bool const digits =
      !number.empty() && (number.front() == '.' || (number.front() >= '0' && number.front() <= '9'));
  if (digits && ec == std::errc{} && end == number.data() + number.size()) return "a number";
  return {};
}

std::string_view kind(YAML::Node const &node) {
  if (node.IsMap()) return "a map";
  if (node.IsSequence()) return "a list";
  auto const type = core_type(node);
  return type.empty() ? "text" : type;
}

std::string described(YAML::Node const &node) {
  std::string text(kind(node));
  if (node.IsScalar() && node.Scalar().size() <= 40 && node.Scalar().find('\n') == std::string::npos) {
    text += " (" + node.Scalar() + ")";
  }
  return text;
}

std::string child_name(std::string const &parent, std::string_view key) {
  return parent.empty() ? std::string(key) : parent + '.' + std::string(key);
}

// A null value's mark is the next token's: the key's own place says more.
Place value_place(YAML::Node const &node, Place fallback) {
  return node.IsNull() || node.Mark().is_null() ? fallback : place_of(node.Mark());
}

// Walks through a text before it is loaded. yaml-cpp 0.7 takes some malformed texts for endlessly many empty
// nodes (https://github.com/jbeder/yaml-cpp/pull/1319) and would eat all memory: no text has more nodes than
// a few for each of its bytes, so that is where the walk ends.
class Walk : public YAML::EventHandler {
 public:
  explicit Walk(std::size_t bytes) : left_(4 * bytes + 16) {}

  void OnDocumentStart(YAML::Mark const &mark) override { document_starts.push_back(place_of(mark)); }
  void OnDocumentEnd() override {}
  void OnNull(YAML::Mark const &mark, YAML::anchor_t) override { step(mark); }
  void OnAlias(YAML::Mark const &mark, YAML::anchor_t) override { step(mark); }
  void OnScalar(YAML::Mark const &mark, std::string const &, YAML::anchor_t, std::string const &) override {
    step(mark);
  }
  void OnSequenceStart(YAML::Mark const &mark, std::string const &, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    step(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(YAML::Mark const &mark, std::string const &, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    step(mark);
  }
  void OnMapEnd() override {}

  std::vector<Place> document_starts;

 private:
  void step(YAML::Mark const &mark) {
    if (left_-- == 0) throw YAML::ParserException(mark, "nothing that can stand here");
  }

  std::size_t left_;
};

// Where a second document begins, if one does. Throws what the parser throws.
std::optional<Place> second_document(std::string const &text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Walk walk(text.size());
  if (!parser.HandleNextDocument(walk) || !parser.HandleNextDocument(walk)) return std::nullopt;
  return walk.document_starts.back();
}

}  // namespace

std::optional<Value> Reader::load(std::string_view text) {
  text_ = text;
  lines_ = {0};
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') lines_.push_back(i + 1);
  }
  if (auto const bad = first_invalid_utf8(text)) {
    auto const after = std::upper_bound(lines_.begin(), lines_.end(), *bad);
    error(Place{int(after - lines_.begin()), int(*bad - *(after - 1)) + 1}, "not valid UTF-8");
    return std::nullopt;
  }
  try {
    if (auto const second = second_document(text_)) {
      error(*second, "something stands behind the end of the document; the file holds one document");
      return std::nullopt;
    }
    YAML::Node const root = YAML::Load(text_);
    if (!root.IsDefined() || root.IsNull()) return Value{YAML::Node(YAML::NodeType::Map), {1, 1}, ""};
    return Value{root, value_place(root, {1, 1}), ""};
  } catch (YAML::Exception const &exception) {
    error(exception.mark.is_null() ? Place{1, 1} : place_of(exception.mark), "YAML: " + exception.msg);
  } catch (std::exception const &exception) {
    error(Place{1, 1}, std::string("YAML: ") + exception.what());
  }
  return std::nullopt;
}

void Reader::error(Place place, std::string text) {
  problems_.push_back({file_, place.line, place.column, false, std::move(text)});
}

void Reader::error(Value const &value, std::string text) {
  error(value.place, value.name.empty() ? std::move(text) : value.name + ": " + text);
}

void Reader::warning(Value const &value, std::string text) {
  error(value, std::move(text));
  problems_.back().warning = true;
}

void Reader::add(Problem problem) {
  problems_.push_back(std::move(problem));
}

bool Reader::ok() const {
  return std::all_of(problems_.begin(), problems_.end(), [](Problem const &p) { return p.warning; });
}

void Reader::expected(Value const &value, std::string_view what) {
  error(value, "expected " + std::string(what) + ", found " + described(value.node));
}

void Reader::not_one_of(Value const &value, std::string const &names) {
  expected(value, "one of " + names);
}

std::optional<std::string> Reader::bare_scalar(Value const &value) const {
  if (!value.node.IsScalar()) return std::nullopt;
  std::string const &tag = value.node.Tag();
  if (tag != kPlain && tag != kQuoted && tag != kString) return std::nullopt;
  return value.node.Scalar();
}

std::optional<std::string> Reader::text_or_empty(Value const &value) {
  auto scalar = bare_scalar(value);
  auto const type = scalar ? core_type(value.node) : std::string_view{};
  if (scalar && type.empty()) return scalar;
  expected(value, scalar && !scalar->empty() ? "text: put it in quotes" : "text");
  return std::nullopt;
}

std::optional<std::string> Reader::text(Value const &value) {
  auto result = text_or_empty(value);
  if (result && result->empty()) {
    error(value, "is empty");
    return std::nullopt;
  }
  return result;
}

std::optional<bool> Reader::boolean(Value const &value) {
  if (value.node.IsScalar() && value.node.Tag() == kPlain) {
    if (value.node.Scalar() == "true") return true;
    if (value.node.Scalar() == "false") return false;
  }
  expected(value, "true or false");
  return std::nullopt;
}

// With its unit it cannot be taken for anything else, so it may be quoted.
std::optional<std::string> Reader::quantity_text(Value const &value, std::string_view what) {
  bool const scalar = value.node.IsScalar() && (value.node.Tag() == kPlain || value.node.Tag() == kQuoted);
  if (scalar) return value.node.Scalar();
  expected(value, what);
  return std::nullopt;
}

// A number is never quoted: "5" is a text.
std::optional<std::string> Reader::number_text(Value const &value, std::string_view what) {
  if (value.node.IsScalar() && value.node.Tag() == kPlain) return value.node.Scalar();
  expected(value, what);
  return std::nullopt;
}

std::optional<std::uint64_t> Reader::unsigned_integer(Value const &value, std::uint64_t least,
                                                      std::uint64_t most) {
  std::string const what = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  auto const scalar = number_text(value, what);
  if (!scalar) return std::nullopt;
  auto const number = parse_unsigned(*scalar);
  if (number && *number >= least && *number <= most) return number;
  expected(value, what);
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> Reader::duration(Value const &value, std::chrono::milliseconds least,
                                                          std::chrono::milliseconds most) {
  constexpr std::string_view what = "a duration such as 500ms, 5s, 5m, 1h or 2d";
  auto const scalar = quantity_text(value, what);
  if (!scalar) return std::nullopt;
  auto const duration = parse_duration(*scalar);
  if (!duration) {
    expected(value, what);
  } else if (*duration < least || *duration > most) {
    error(value,
          "must be from " + std::to_string(least.count()) + "ms to " + std::to_string(most.count()) + "ms");
  } else {
    return duration;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Reader::size(Value const &value, std::uint64_t least, std::uint64_t most) {
  constexpr std::string_view what = "a size such as 4096, 16KiB, 64MiB or 1GiB";
  auto const scalar = quantity_text(value, what);
  if (!scalar) return std::nullopt;
  auto const size = parse_size(*scalar);
  if (!size) {
    expected(value, what);
  } else if (*size < least || *size > most) {
    error(value, "must be from " + std::to_string(least) + " to " + std::to_string(most) + " bytes");
  } else {
    return size;
  }
  return std::nullopt;
}

std::optional<std::chrono::system_clock::time_point> Reader::timestamp(Value const &value) {
  auto const scalar = bare_scalar(value);
  auto const time = scalar ? parse_timestamp(*scalar) : std::nullopt;
  if (!time) expected(value, "a time with its offset, such as 2027-01-01T00:00:00Z");
  return time;
}

std::optional<std::vector<Value>> Reader::list(Value const &value) {
  if (!value.node.IsSequence()) {
    expected(value, "a list");
    return std::nullopt;
  }
  std::vector<Value> items;
  for (YAML::Node const &item : value.node) {
    items.push_back(
        {item, value_place(item, value.place), value.name + '[' + std::to_string(items.size()) + ']'});
  }
  return items;
}

std::optional<std::vector<std::string>> Reader::text_list(Value const &value) {
  auto const items = list(value);
  if (!items) return std::nullopt;
  std::vector<std::string> texts;
  for (Value const &item : *items) {
    if (auto one = text(item)) texts.push_back(std::move(*one));
  }
  if (texts.size() != items->size()) return std::nullopt;
  return texts;
}

Map::Map(Reader &reader, Value const &value) : reader_(reader), self_(value), is_map_(value.node.IsMap()) {
  if (!is_map_) {
    reader_.error(self_, "expected a map of keys and values, found " + described(self_.node));
    return;
  }
  for (auto const &pair : self_.node) {
    Place const place = value_place(pair.first, self_.place);
    if (!pair.first.IsScalar()) {
      reader_.error(place, "expected a key, found " + described(pair.first));
      continue;
    }
    std::string const &key = pair.first.Scalar();
    auto const first =
        std::find_if(entries_.begin(), entries_.end(), [&](Entry const &e) { return e.key == key; });
    if (first != entries_.end()) {
      reader_.error(place, "key '" + qualified(key) + "' is given twice, first on line " +
                               std::to_string(first->place.line));
      continue;
    }
    entries_.push_back({key, place, {pair.second, value_place(pair.second, place), qualified(key)}});
  }
}

std::string Map::qualified(std::string_view key) const {
  return child_name(self_.name, key);
}

std::optional<Value> Map::find(std::string_view key) {
  known_.emplace_back(key);
  for (Entry &entry : entries_) {
    if (entry.key != key) continue;
    entry.asked = true;
    return entry.value;
  }
  return std::nullopt;
}

std::optional<Value> Map::require(std::string_view key) {
  auto value = find(key);
  if (!value && is_map_) reader_.error(self_.place, "key '" + qualified(key) + "' is missing");
  return value;
}

std::vector<std::pair<std::string, Value>> Map::each() {
  std::vector<std::pair<std::string, Value>> all;
  for (Entry &entry : entries_) {
    entry.asked = true;
    all.emplace_back(entry.key, entry.value);
  }
  return all;
}

void Map::finish() {
  for (Entry const &entry : entries_) {
    if (entry.asked) continue;
    auto const near = nearest(entry.key, known_);
    reader_.error(entry.place, "unknown key '" + qualified(entry.key) + "'" +
                                   (near ? "; did you mean '" + *near + "'?" : std::string()));
  }
}

}  // namespace imdsgate::yaml
