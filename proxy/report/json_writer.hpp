// Appends strict JSON (RFC 8259) to a string, one line, whatever bytes it is given. Not thread-safe; one
// writer, one document.
//
// Every string comes out as valid UTF-8 that shows what it is and does nothing:
// - a byte that is no part of valid UTF-8 (RFC 3629: overlong forms, surrogates and values above U+10FFFF are
// not) is
//   written as the four characters \xNN, so that two paths which differ only there stay different. A text
//   that really holds those four characters reads the same: this is for people, not for a round trip.
// - control characters (C0, DEL, C1), U+2028 and U+2029, and characters that format text without being seen
//   (bidirectional marks, embeddings, overrides and isolates, zero-width characters, U+FEFF, tags: Unicode's
//   Cf) are \uXXXX escapes. So is `<`, so that a line put into a page cannot open a tag.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace imdsgate {

// Appends the escaped text without quotes.
void append_escaped(std::string &out, std::string_view text);

class JsonWriter {
 public:
  explicit JsonWriter(std::string &out) : out_(out) {}

  JsonWriter &begin_object();
  JsonWriter &end_object();
  JsonWriter &begin_array();
  JsonWriter &end_array();
  JsonWriter &key(std::string_view name);  // within an object, before its value

  JsonWriter &value(std::string_view text);
  JsonWriter &value(char const *text) { return value(std::string_view(text)); }
  JsonWriter &value(bool flag);
  JsonWriter &value(double number);  // the shortest text that reads as it; beyond what a double holds, 1e999
  JsonWriter &null();
  template <std::integral Number>
  requires(!std::same_as<Number, bool>) JsonWriter &value(Number number) {
    char digits[24];
    auto const end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    separate();
    out_.append(digits, end);
    comma_ = true;
    return *this;
  }

  // An object that is there only if `fill` writes something into it.
  template <class Fill>
  JsonWriter &object(std::string_view name, Fill fill) {
    auto const before = out_.size();
    bool const comma = comma_;
    key(name).begin_object();
    auto const empty = out_.size();
    fill();
    if (out_.size() > empty) return end_object();
    out_.resize(before);
    comma_ = comma;
    return *this;
  }

  template <class Value>
  JsonWriter &member(std::string_view name, Value const &text) {
    return key(name).value(text);
  }

 private:
  void separate();

  std::string &out_;
  bool comma_ = false;  // the next element of the open object or array follows another
};

}  // namespace imdsgate
