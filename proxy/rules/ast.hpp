// EQL's syntax tree: what was written, before anything is resolved.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace imdsgate::eql {

struct Number {
  bool integral = true;
  std::int64_t integer = 0;  // when integral
  double real = 0;           // always
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

struct Null {};
struct FieldName {
  std::string name;
  bool optional = false;
};
struct Not {
  NodePtr operand;
};
struct Negative {  // unary minus on anything but a number
  NodePtr operand;
};

// One node for a whole chain of the same operator, so that a long rule nests no deeper than it reads.
struct Logical {
  enum class Operator { conjunction, disjunction } op;
  std::vector<NodePtr> operands;
};

struct Comparison {
  enum class Operator { equal, not_equal, less, less_equal, greater, greater_equal } op;
  NodePtr left, right;
};

// left OP right or left OP (right, …), with the operators that take a list.
struct Predicate {
  enum class Operator { colon, like, regex, in } op;
  bool insensitive = false;  // written with ~; always for `:`
  bool negated = false;      // `not in`
  NodePtr left;
  std::vector<NodePtr> right;
};

struct Arithmetic {
  char op;  // + - * / %
  NodePtr left, right;
};

struct Call {
  std::string name;
  bool insensitive = false;
  std::vector<NodePtr> arguments;
};

struct Node {
  std::size_t at = 0;  // byte offset of what a problem with it points to
  std::variant<Null, bool, Number, std::string, FieldName, Not, Negative, Logical, Comparison, Predicate,
               Arithmetic, Call>
      is;
};

struct EventQuery {
  std::optional<std::string> category;  // nullopt: any
  NodePtr where;
};

// One `[CATEGORY where EXPR] by …` of a sequence.
struct StageText {
  EventQuery query;
  std::vector<NodePtr> keys;  // each a FieldName
  int runs = 1;
  std::size_t at = 0;  // the '['
};

struct SequenceQuery {
  std::vector<NodePtr> keys;            // of every stage
  std::optional<std::int64_t> maxspan;  // milliseconds
  std::vector<StageText> stages;
  std::optional<StageText> until;
};

// What is wrong with a text, by byte offset.
struct Failure {
  std::size_t at = 0;
  std::string text;
};

}  // namespace imdsgate::eql
