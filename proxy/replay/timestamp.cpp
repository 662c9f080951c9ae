#include "replay/timestamp.hpp"

#include <algorithm>
#include <chrono>

namespace imdsgate {
namespace {

using namespace std::chrono;

constexpr std::int64_t kFirst = -62'167'219'200'000;   // 0000-01-01T00:00:00.000Z
constexpr std::int64_t kLast = 253'402'300'799'999;    // 9999-12-31T23:59:59.999Z
constexpr std::int64_t kBeyond = 999'999'999'999'999;  // of either sign

// Takes the text from its front.
struct Scanner {
  std::string_view rest;

  bool symbol(std::string_view any_of) {
    if (rest.empty() || any_of.find(rest.front()) == any_of.npos) return false;
    rest.remove_prefix(1);
    return true;
  }

  // Exactly so many digits.
  std::optional<unsigned> digits(std::size_t count) {
    if (rest.size() < count) return std::nullopt;
    unsigned number = 0;
    for (char const c : rest.substr(0, count)) {
      if (c < '0' || c > '9') return std::nullopt;
      number = number * 10 + static_cast<unsigned>(c - '0');
    }
    rest.remove_prefix(count);
    return number;
  }

  // At least one digit; the first three, as milliseconds.
  std::optional<unsigned> fraction() {
    unsigned number = 0, count = 0;
    for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; rest.remove_prefix(1), ++count) {
      if (count < 3) number = number * 10 + static_cast<unsigned>(rest.front() - '0');
    }
    if (count == 0) return std::nullopt;
    for (; count < 3; ++count) number *= 10;
    return number;
  }
};

std::optional<sys_days> date(Scanner &text) {
  auto const y = text.digits(4);
  bool const extended = text.symbol("-");
  auto const m = text.digits(2);
  if (extended && !text.symbol("-")) return std::nullopt;
  auto const d = text.digits(2);
  if (!y || !m || !d) return std::nullopt;
  year_month_day const day{year(static_cast<int>(*y)), month(*m), std::chrono::day(*d)};
  if (!day.ok()) return std::nullopt;
  return sys_days(day);
}

// Since midnight.
std::optional<milliseconds> time_of_day(Scanner &text) {
  auto const h = text.digits(2);
  bool const extended = text.symbol(":");
  auto const m = text.digits(2);
  if (!h || !m || *h > 23 || *m > 59) return std::nullopt;
  milliseconds time = hours(*h) + minutes(*m);
  bool const seconds_follow =
      extended ? text.symbol(":")
               : !text.rest.empty() && text.rest.front() >= '0' && text.rest.front() <= '9';
  if (!seconds_follow) return time;
  auto const s = text.digits(2);
  if (!s || *s > 60) return std::nullopt;
  time += seconds(std::min(*s, 59u));
  if (!text.symbol(".,")) return time;
  auto const fraction = text.fraction();
  if (!fraction) return std::nullopt;
  return time + milliseconds(*fraction);
}

// What to add to a local time to have UTC.
std::optional<minutes> offset(Scanner &text) {
  if (text.rest.empty() || text.symbol("Zz")) return minutes(0);
  bool const east = text.rest.front() == '+';
  if (!text.symbol("+-")) return std::nullopt;
  auto const h = text.digits(2);
  if (!h || *h > 23) return std::nullopt;
  unsigned m = 0;
  if (text.symbol(":") || !text.rest.empty()) {
    auto const given = text.digits(2);
    if (!given || *given > 59) return std::nullopt;
    m = *given;
  }
  minutes const distance = hours(*h) + minutes(m);
  return east ? -distance : distance;
}

std::optional<std::int64_t> iso_8601(std::string_view text) {
  Scanner scanner{text};
  auto const day = date(scanner);
  if (!day) return std::nullopt;
  milliseconds time = day->time_since_epoch();
  if (scanner.rest.empty()) return time.count();
  if (!scanner.symbol("Tt ")) return std::nullopt;
  auto const within = time_of_day(scanner);
  if (!within) return std::nullopt;
  auto const shift = offset(scanner);
  if (!shift || !scanner.rest.empty()) return std::nullopt;
  return (time + *within + *shift).count();
}

// Takes digits from the front.
std::string_view take_digits(std::string_view &text) {
  auto const count = std::min(text.find_first_not_of("0123456789"), text.size());
  auto const digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

// What the exponent says; one that is beyond all reason as so many places. nullopt: it is none.
std::optional<std::int64_t> exponent(std::string_view text) {
  constexpr std::int64_t kPlaces = 1'000'000'000;
  bool const negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  auto const digits = take_digits(text);
  if (digits.empty() || !text.empty()) return std::nullopt;
  std::int64_t places = 0;
  for (char const c : digits) places = std::min(kPlaces, places * 10 + (c - '0'));
  return negative ? -places : places;
}

struct Decimal {
  bool negative = false;
  std::string_view whole, fraction;
  std::int64_t shift = 0;  // the exponent
};

std::optional<Decimal> decimal(std::string_view text) {
  Decimal number;
  number.negative = text.starts_with('-');
  if (number.negative) text.remove_prefix(1);
  number.whole = take_digits(text);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    number.fraction = take_digits(text);
  }
  if (number.whole.empty() && number.fraction.empty()) return std::nullopt;
  if (text.empty()) return number;
  auto const places =
      text.starts_with('e') || text.starts_with('E') ? exponent(text.substr(1)) : std::nullopt;
  if (!places) return std::nullopt;
  number.shift = *places;
  return number;
}

// By the digits, since a double has too few of them.
std::optional<std::int64_t> floored(Decimal const &number) {
  auto const &[negative, whole, fraction, shift] = number;
  auto const digits = static_cast<std::int64_t>(whole.size() + fraction.size());
  std::int64_t const before_point = static_cast<std::int64_t>(whole.size()) + shift;
  std::int64_t result = 0;
  bool rest = false;
  for (std::int64_t i = 0; i < digits || (i < before_point && result != 0); ++i) {
    auto const at = static_cast<std::size_t>(i);
    char const digit = i >= digits ? '0' : at < whole.size() ? whole[at] : fraction[at - whole.size()];
    if (i >= before_point) {
      rest = rest || digit != '0';
      continue;
    }
    result = result * 10 + (digit - '0');
    if (result > kBeyond) return std::nullopt;
  }
  return negative ? -result - (rest ? 1 : 0) : result;
}

std::optional<std::int64_t> epoch(std::string_view text) {
  auto const number = decimal(text);
  return number ? floored(*number) : std::nullopt;
}

}  // namespace

std::optional<std::int64_t> recorded_time(std::string_view text) {
  bool const date = text.size() > 8 && (text[4] == '-' || text[8] == 'T' || text[8] == 't' || text[8] == ' ');
  auto const time = date ? iso_8601(text) : epoch(text);
  return time && *time >= kFirst && *time <= kLast ? time : std::nullopt;
}

}  // namespace imdsgate
