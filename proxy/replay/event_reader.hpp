// A recorded event, one JSON object a line, to a row of the fields that the rules name (interfaces §1). Pure.
//
// - A field's name is the path to it, whatever of it is nested and whatever is written with dots:
// {"a":{"b":1}},
//   {"a.b":1}. What is given twice has several values.
// - An array, at any depth, is the values in it; an array of objects gives each member's field the values of
// all of them.
//   null, an empty array and an empty object are no value.
// - A number's value is its text as the line has it, that of true and false these words.
// - event.category is also what the category of a rule is held against. @timestamp has one value:
// timestamp.hpp.
//
// Boost.JSON's SAX parser: RFC 8259 with nothing added, and no tree is built.
#pragma once

#include <boost/json/basic_parser.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "rules/engine.hpp"

namespace imdsgate {

class EventReader {
 public:
  explicit EventReader(eql::FieldTable const &fields);
  ~EventReader();

  // The event's time, in milliseconds since the epoch, and its fields in `row`, which is cleared first; its
  // texts are the line's and this reader's until the next call. An error: the line is no event, and `row`
  // holds nothing of use.
  Result<std::int64_t> read(std::string_view line, eql::Row &row);

  static constexpr std::size_t kDeepest = 512;  // levels of nesting

 private:
  class Handler;
  std::unique_ptr<boost::json::basic_parser<Handler>> parser_;
};

}  // namespace imdsgate
