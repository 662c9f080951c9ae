// Event Query Language, the part that decides on one event: compile once, match often. Pure.
//
// Language: https://www.elastic.co/guide/en/elasticsearch/reference/current/eql-syntax.html
// Here: `CATEGORY where CONDITION`, sequences (what they mean: rules/engine.hpp), and or not, parentheses, ==
// != < <= >
// >=, `:`, like, like~, regex, regex~, in, in~ and their `not` forms, lists, arithmetic, the functions of
// rules/functions.hpp, null, booleans, numbers, strings, raw strings, `names`, ?optional, comments. What the
// language has beyond that (samples, missing events, pipes, lineage) is an error that names it, never a
// silent no-match.
//
// What a condition means
// - A field without a value is missing: every term on it is false, and `not` of the term is true. So is
//   `x != "a"` on a missing x false (a comparison with null is null, and null is not true:
//   https://github.com/endgameinc/eql/pull/17); write `not x == "a"` to include the missing.
//   `x not in (…)` is `not (x in (…))`, so true on a missing x. `x != null`: x has a value; `x == null`:
//   none.
// - A field may have several values. A term is true when any of them fits; `x != "a"` when there is one and
//   none of them is "a".
// - `:` and like~ compare the whole value, folding ASCII letters only. `*` stands for any run, also an empty
//   one and across `/` and newlines, `?` for exactly one UTF-8 character; nothing escapes them. `==`, in and
//   like are case-sensitive.
// - A field alone is a boolean: true when it is "true".
// - Values are texts. A number literal compares with what reads as a number, true and false with those words;
//   < and > on strings order by bytes. On ECS's fields of type ip (destination.ip and others that end in
//   .ip, dns.resolved_ip, network.forwarded_ip) literals are addresses, and ::ffff:169.254.169.254 equals
//   169.254.169.254; patterns and functions see the canonical text, and < goes by the 16 bytes.
// - regex and match compare the whole value too: rules/regex.hpp.
// - A function or operator of a missing field is null, and a term with a null in it is false. Where several
// fields stand in
//   one term, it is true when any choice of their values makes it so (of 4096 tried); a field that stands
//   there twice is one choice.
// - Two fields compare as numbers where both read as numbers, as addresses where one of them is a field of
// addresses and
//   both read as such, else as texts. A field beside a function takes the function's type.
// - The category and field names are case-sensitive.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/place.hpp"
#include "model/result.hpp"

namespace imdsgate::eql {

// The values of one field. Claimed is everything it goes by, proven what the kernel vouches for (design §4);
// a proven value is claimed as well. `unreadable`: it has a value, or more than are listed, and whoever
// looked could not read it, which is not the same as having none.
struct Values {
  std::vector<std::string> claimed;
  std::vector<std::string> proven;
  bool unreadable = false;
};

// One event as a flat set of fields. Not safe for concurrent writes; reading is.
class Event {
 public:
  std::string category;                                 // "process", "network", "web"
  void set(std::string_view field, std::string value);  // both views
  void set(std::string_view field, Values values);      // adds proven values to the claimed ones; replaces
  void set_unreadable(std::string_view field);          // keeps the values it has
  Values const *find(std::string_view field) const;     // nullptr: missing

 private:
  friend class Row;  // reads all slots at once
  struct Slot {
    std::string field;
    Values values;
  };
  std::size_t index_of(std::uint64_t hash, std::string_view field) const;  // slots_.size(): missing

  std::vector<std::uint64_t> hashes_;  // of slots_, in their order: a search walks these only
  std::vector<Slot> slots_;
};

std::uint64_t field_hash(std::string_view field);

// How the two views of a value count. A term is negated when an odd number of negations stands above it:
// `not`, and the ones inside `!=`, `not in`, `not like` and `== null` (which is `not (x != null)`).
enum class View {
  // Rules. Claimed values in plain terms, proven ones in negated terms. So an answer can only become true by
  // claiming more, and only become false by proving more: lying adds suspicion and never removes it.
  // `x != "a"` is read as: x has a claimed value, and no proven value is "a". An unreadable field counts with
  // the values it has.
  by_polarity,

  // Grants. Three-valued: a term is true when a proven value fits; false when the field is missing, or when
  // something is proven and nothing claimed fits; otherwise unknown: what fits is claimed and not proven, or
  // nothing is proven although something is claimed, or the field could not be read. `not` of unknown is
  // unknown, and the condition holds only when the whole of it is true. So neither `not x == "a"` nor
  // `x != "a"` grants anything to one who hides x or goes by "a" unproven; to one who has no x at all (no
  // container: no container.id) the first one does, the second does not.
  proven,

  // Denials. As by_polarity, and an unreadable field counts against the requester: a plain term on it is
  // true, a negated one true only when a proven value fits. A denial that does not know denies. It does not
  // deny everyone who is merely unproven: his claims decide, as for a rule, or one entry would deny every
  // container.
  denial,
};

struct Expression;  // a condition, compiled: rules/matcher.hpp

// A field where a query names it.
struct NamedField {
  std::string name;
  bool optional = false;  // written ?name
  Place place;            // in its file: line and column
};

// What has to be true of one field for a condition to hold, where its text says so outright: one of these is
// a value of it (by View: a proven or a claimed one).
struct Demand {
  struct Text {
    std::string text;
    bool pattern = false;  // * and ? are wildcards
    bool operator==(Text const &) const = default;
  };
  std::string field;
  std::vector<Text> any_of;
  bool folded = false;  // ASCII letters count in both cases
};

// An event query or, for a policy's `when:`, a bare expression. Cheap to copy; immutable.
struct Query {
  std::optional<std::string> category;  // nullopt: any; a quoted "any" is the category of that name
  std::shared_ptr<Expression const> where;
  std::vector<std::string> fields;           // every field it names, sorted
  std::vector<std::string> optional_fields;  // those of them it names with `?` only, sorted
  std::vector<NamedField> named;             // every mention, in the order of the text
  std::vector<Demand> demands;  // of a bare expression: sorted by field, one each; see rules/demands.hpp
  bool only_demands = false;    // they are all that it says
};

// What a sequence means: rules/engine.hpp.
struct Sequence {
  struct Stage {
    Query query;
    std::vector<NamedField> keys;  // the `by` of the sequence, then the stage's own; as many in every stage
  };
  std::vector<Stage> stages;  // two or more; `with runs=N` is N of them
  std::optional<Stage> until;
  std::optional<std::int64_t> maxspan;  // milliseconds
};

using RuleQuery = std::variant<Query, Sequence>;

// Every field the rule names, keys too, in the order of the text; each as often as it is named.
std::vector<NamedField> query_fields(RuleQuery const &query);

// Where the text stands in its file, so that problems name the file's own line and column. With `places`
// (yaml::Reader::places) every byte has its own; without, the text begins at line and column, and each
// further line `indent` bytes into its own line.
struct Origin {
  std::string file;
  int line = 1;
  int column = 1;
  int indent = 0;  // what a YAML block scalar removed from each line
  Places places;
};

// The problem's text is the message, then the line it is about and a caret below it, as compilers do.
std::variant<Query, Problem> compile_query(std::string_view text,
                                           Origin const &origin);  // CATEGORY where EXPR
std::variant<RuleQuery, Problem> compile_rule_query(std::string_view text,
                                                    Origin const &origin);  // that, or a sequence
std::variant<Query, Problem> compile_expression(std::string_view text, Origin const &origin);  // EXPR alone

// False for a query that was never compiled. Allocates nothing, except to read an IPv6 address.
bool matches(Query const &query, Event const &event, View view);

// How often a term was false after 4096 choices of its fields' values while there were more. Of the process:
// for whoever counts what limits refuse.
std::uint64_t terms_not_all_tried();

}  // namespace imdsgate::eql
