#include "rules/functions.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "model/utf8.hpp"
#include "rules/value_test.hpp"

namespace imdsgate::eql {
namespace {

using Arguments = std::span<Value const>;

constexpr std::size_t kNowhere = std::string_view::npos;

std::string_view text_of(Value const &value) {
  return std::get<std::string_view>(value);
}

char fold(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

std::string_view folded(std::string_view text, Texts &texts) {
  std::string &copy = texts.next();
  copy.resize(text.size());
  std::transform(text.begin(), text.end(), copy.begin(), fold);
  return copy;
}

bool equal_letters(char a, char b) {
  return fold(a) == fold(b);
}

// memmem, because it is linear whatever the texts are.
std::size_t position(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return kNowhere;
  auto const *at =
      static_cast<char const *>(memmem(text.data() + from, text.size() - from, part.data(), part.size()));
  return at == nullptr ? kNowhere : static_cast<std::size_t>(at - text.data());
}

std::size_t character_at(std::string_view text, std::size_t at) {
  return std::max<std::size_t>(1, utf8_length(text.substr(at)));
}

std::int64_t count_characters(std::string_view text) {
  std::int64_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += character_at(text, at)) ++count;
  return count;
}

// Where the character of that number begins; the end when there are fewer.
std::size_t offset_of(std::string_view text, std::int64_t character) {
  std::size_t at = 0;
  for (; character > 0 && at < text.size(); --character) at += character_at(text, at);
  return at;
}

Number integer(std::int64_t value) {
  return {true, value, static_cast<double>(value)};
}

Value real(double value) {
  if (!std::isfinite(value)) return {};
  return Number{false, 0, value};
}

std::optional<std::int64_t> whole(Value const &value) {
  auto const &number = std::get<Number>(value);
  if (number.integral) return number.integer;
  if (!(std::fabs(number.real) < 9.0e18)) return std::nullopt;
  return static_cast<std::int64_t>(number.real);
}

Value between(Arguments arguments, bool insensitive, Texts &texts) {
  std::string_view const source = text_of(arguments[0]);
  std::string_view left = text_of(arguments[1]), right = text_of(arguments[2]);
  if (source.empty() || left.empty() || right.empty()) return source;
  std::string_view text = source;
  if (insensitive) {
    text = folded(text, texts);
    left = folded(left, texts);
    right = folded(right, texts);
  }
  std::size_t const before = position(text, left, 0);
  if (before == kNowhere) return std::string_view();
  std::size_t const start = before + left.size();
  bool const greedy = arguments.size() > 3 && std::get<bool>(arguments[3]);
  std::size_t const end = greedy ? text.rfind(right) : position(text, right, start);
  if (end == kNowhere || end < start) return std::string_view();
  return source.substr(start, end - start);
}

Value starts_with(Arguments arguments, bool insensitive, Texts &) {
  std::string_view const text = text_of(arguments[0]), part = text_of(arguments[1]);
  if (!insensitive) return text.starts_with(part);
  return text.size() >= part.size() && std::equal(part.begin(), part.end(), text.begin(), equal_letters);
}

Value ends_with(Arguments arguments, bool insensitive, Texts &) {
  std::string_view const text = text_of(arguments[0]), part = text_of(arguments[1]);
  if (!insensitive) return text.ends_with(part);
  return text.size() >= part.size() && std::equal(part.rbegin(), part.rend(), text.rbegin(), equal_letters);
}

Value string_contains(Arguments arguments, bool insensitive, Texts &texts) {
  std::string_view text = text_of(arguments[0]), part = text_of(arguments[1]);
  if (text.empty() || part.empty()) return false;
  if (insensitive) {
    text = folded(text, texts);
    part = folded(part, texts);
  }
  return position(text, part, 0) != kNowhere;
}

Value index_of(Arguments arguments, bool insensitive, Texts &texts) {
  std::string_view text = text_of(arguments[0]), part = text_of(arguments[1]);
  std::size_t from = 0;
  if (arguments.size() > 2) {
    auto const start = whole(arguments[2]);
    if (!start) return {};
    from = offset_of(text, *start);
  }
  if (part.empty()) return integer(count_characters(text.substr(0, from)));
  if (insensitive) {
    text = folded(text, texts);
    part = folded(part, texts);
  }
  std::size_t const at = position(text, part, from);
  if (at == kNowhere) return {};
  return integer(count_characters(text.substr(0, at)));
}

Value length(Arguments arguments, bool, Texts &) {
  return integer(count_characters(text_of(arguments[0])));
}

// A slice: negative offsets count from the end, and none reaches beyond.
Value substring(Arguments arguments, bool, Texts &) {
  std::string_view const text = text_of(arguments[0]);
  std::int64_t const count = count_characters(text);
  auto const clamped = [&](std::int64_t at) {
    if (at < 0) at = at < -count ? 0 : at + count;
    return std::min(at, count);
  };
  auto const start = whole(arguments[1]);
  auto const end = arguments.size() > 2 ? whole(arguments[2]) : count;
  if (!start || !end) return {};
  std::int64_t const first = clamped(*start), last = clamped(*end);
  if (first >= last) return std::string_view();
  std::size_t const from = offset_of(text, first);
  return text.substr(from, offset_of(text.substr(from), last - first));
}

void append(std::string &text, Value const &value) {
  if (auto const *part = std::get_if<std::string_view>(&value)) {
    text += *part;
  } else if (auto const *truth = std::get_if<bool>(&value)) {
    text += *truth ? "true" : "false";
  } else {
    auto const &number = std::get<Number>(value);
    char buffer[32];
    auto const end = number.integral ? std::to_chars(buffer, buffer + sizeof buffer, number.integer)
                                     : std::to_chars(buffer, buffer + sizeof buffer, number.real);
    text.append(buffer, end.ptr);
  }
}

// string() too: of one value.
Value concat(Arguments arguments, bool, Texts &texts) {
  std::string &text = texts.next();
  for (Value const &value : arguments) append(text, value);
  return std::string_view(text);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  auto const first = text.find_first_not_of(kSpace);
  return first == text.npos ? std::string_view()
                            : text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

// A + that from_chars does not know. False: another sign behind it.
bool drop_plus(std::string_view &text) {
  if (!text.starts_with('+')) return true;
  text.remove_prefix(1);
  return !text.starts_with('+') && !text.starts_with('-');
}

Value to_number(Arguments arguments, bool, Texts &) {
  std::string_view text = trimmed(text_of(arguments[0]));
  int base = 0;  // none is given
  if (arguments.size() > 1) {
    auto const given = whole(arguments[1]);
    if (!given || *given < 2 || *given > 36) return {};
    base = static_cast<int>(*given);
  }
  bool const hexadecimal = text.starts_with("0x") && (base == 0 || base == 16);
  if (hexadecimal) text.remove_prefix(2);
  if (!hexadecimal && !drop_plus(text)) return {};
  int const radix = hexadecimal ? 16 : base == 0 ? 10 : base;
  if (radix == 10) {
    auto const number = read_number(text);
    return number ? Value(*number) : Value();
  }
  std::int64_t value = 0;
  auto const [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value, radix);
  if (ec != std::errc{} || end != text.data() + text.size() || (hexadecimal && text.starts_with('-')))
    return {};
  return integer(value);
}

struct Numbers {
  Number const &left, &right;
  explicit Numbers(Arguments arguments)
      : left(std::get<Number>(arguments[0])), right(std::get<Number>(arguments[1])) {}
  bool integral() const { return left.integral && right.integral; }
};

Value add(Arguments arguments, bool, Texts &) {
  Numbers const of(arguments);
  std::int64_t result = 0;
  if (of.integral() && !__builtin_add_overflow(of.left.integer, of.right.integer, &result))
    return integer(result);
  return real(of.left.real + of.right.real);
}

Value subtract(Arguments arguments, bool, Texts &) {
  Numbers const of(arguments);
  std::int64_t result = 0;
  if (of.integral() && !__builtin_sub_overflow(of.left.integer, of.right.integer, &result))
    return integer(result);
  return real(of.left.real - of.right.real);
}

Value multiply(Arguments arguments, bool, Texts &) {
  Numbers const of(arguments);
  std::int64_t result = 0;
  if (of.integral() && !__builtin_mul_overflow(of.left.integer, of.right.integer, &result))
    return integer(result);
  return real(of.left.real * of.right.real);
}

bool overflows(Numbers const &of) {
  return of.left.integer == std::numeric_limits<std::int64_t>::min() && of.right.integer == -1;
}

Value divide(Arguments arguments, bool, Texts &) {
  Numbers const of(arguments);
  if (of.right.real == 0) return {};
  if (!of.integral() || overflows(of)) return real(of.left.real / of.right.real);
  std::int64_t const quotient = of.left.integer / of.right.integer;
  bool const down =
      of.left.integer % of.right.integer != 0 && (of.left.integer < 0) != (of.right.integer < 0);
  return integer(down ? quotient - 1 : quotient);
}

Value modulo(Arguments arguments, bool, Texts &) {
  Numbers const of(arguments);
  if (of.right.real == 0) return {};
  if (!of.integral()) return real(std::fmod(of.left.real, of.right.real));
  return integer(overflows(of) ? 0 : of.left.integer % of.right.integer);
}

constexpr auto kBoolean = Parameter::boolean;
constexpr auto kNumber = Parameter::number;
constexpr auto kText = Parameter::text;
constexpr auto kAny = Parameter::any;
constexpr auto kPattern = Parameter::pattern;

constexpr Function kFunctions[] = {
    {"add", {kNumber, kNumber}, 2, 2, Type::number, false, add},
    {"between", {kText, kText, kText, kBoolean}, 3, 4, Type::text, true, between},
    {"cidrMatch", {kText, kPattern, kPattern, kPattern}, 2, kNoLimit, Type::boolean, false, nullptr},
    {"concat", {kAny, kAny, kAny, kAny}, 1, kMostArguments, Type::text, false, concat},
    {"divide", {kNumber, kNumber}, 2, 2, Type::number, false, divide},
    {"endsWith", {kText, kText}, 2, 2, Type::boolean, true, ends_with},
    {"indexOf", {kText, kText, kNumber}, 2, 3, Type::number, true, index_of},
    {"length", {kText}, 1, 1, Type::number, false, length},
    {"match", {kText, kPattern, kPattern, kPattern}, 2, kNoLimit, Type::boolean, true, nullptr},
    {"modulo", {kNumber, kNumber}, 2, 2, Type::number, false, modulo},
    {"multiply", {kNumber, kNumber}, 2, 2, Type::number, false, multiply},
    {"number", {kText, kNumber}, 1, 2, Type::number, false, to_number},
    {"startsWith", {kText, kText}, 2, 2, Type::boolean, true, starts_with},
    {"string", {kAny}, 1, 1, Type::text, false, concat},
    {"stringContains", {kText, kText}, 2, 2, Type::boolean, true, string_contains},
    {"substring", {kText, kNumber, kNumber}, 2, 3, Type::text, false, substring},
    {"subtract", {kNumber, kNumber}, 2, 2, Type::number, false, subtract},
    {"wildcard", {kText, kPattern, kPattern, kPattern}, 2, kNoLimit, Type::boolean, true, nullptr},
};

}  // namespace

std::span<Function const> functions() {
  return kFunctions;
}

Function const *find_function(std::string_view name) {
  auto const *const known =
      std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](Function const &one) {
        return std::equal(name.begin(), name.end(), one.name.begin(), one.name.end(), equal_letters);
      });
  return known == std::end(kFunctions) ? nullptr : known;
}

Function const &function_of(char op) {
  switch (op) {
    case '+': return *find_function("add");
    case '-': return *find_function("subtract");
    case '*': return *find_function("multiply");
    case '/': return *find_function("divide");
    default: return *find_function("modulo");
  }
}

Value converted(Value const &value, Parameter parameter, bool raw) {
  auto const *text = std::get_if<std::string_view>(&value);
  switch (parameter) {
    case Parameter::any: return value;
    case Parameter::text:
    case Parameter::pattern: return text == nullptr ? Value() : value;
    case Parameter::number: {
      if (std::holds_alternative<Number>(value)) return value;
      auto const number = raw && text != nullptr ? read_number(*text) : std::nullopt;
      return number ? Value(*number) : Value();
    }
    case Parameter::boolean:
      if (std::holds_alternative<bool>(value)) return value;
      if (raw && text != nullptr && *text == "true") return true;
      if (raw && text != nullptr && *text == "false") return false;
      return {};
  }
  __builtin_unreachable();
}

}  // namespace imdsgate::eql
