// Event Query Language, the part that decides on one event: compile once, match often. Pure.
// Language: https://www.elastic.co/guide/en/elasticsearch/reference/current/eql-syntax.html
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/result.hpp"

namespace imdsgate::eql {

// The values of one field. A term in positive polarity matches when any claimed value does, one in negative
// polarity (an exclusion) when any proven one does (design §4). A field without a value is missing: its terms
// are false.
struct Values {
  std::vector<std::string> claimed;
  std::vector<std::string> proven;
};

class Event {
 public:
  std::string category;                                 // "process", "network", "web"
  void set(std::string_view field, std::string value);  // both views
  void set(std::string_view field, Values values);
  Values const *find(std::string_view field) const;  // nullptr: missing

 private:
  std::map<std::string, Values, std::less<>> fields_;
};

enum class View {
  by_polarity,  // rules: claimed in positive terms, proven in negated ones
  proven,       // grants and denials of an allowlist: proven in both
};

struct Expression;  // eql's syntax tree, compiled

// An event query or, for a policy's `when:`, a bare expression. Cheap to copy; immutable.
struct Query {
  std::string category;  // "any" matches every category
  std::shared_ptr<Expression const> where;
  std::vector<std::string> fields;  // every field it names, sorted
};

// Where the text stands in its file, so that problems name the file's own line and column.
struct Origin {
  std::string file;
  int line = 1;
  int column = 1;
  int indent = 0;  // what a YAML block scalar removed from each line
};

std::variant<Query, Problem> compile_query(std::string_view text,
                                           Origin const &origin);  // CATEGORY where EXPR
std::variant<Query, Problem> compile_expression(std::string_view text, Origin const &origin);  // EXPR alone
bool matches(Query const &query, Event const &event, View view);

}  // namespace imdsgate::eql
