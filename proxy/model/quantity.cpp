#include "model/quantity.hpp"

#include <charconv>

namespace imdsgate {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kDurations[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizes[] = {{"", 1}, {"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}};
constexpr std::uint64_t kLongest = 100ull * 366 * 86'400'000;

template <std::size_t N>
std::optional<std::uint64_t> with_unit(std::string_view text, Unit const (&units)[N], std::uint64_t limit) {
  std::uint64_t number = 0;
  auto const [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{}) return std::nullopt;
  std::string_view const unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (Unit const &known : units) {
    if (known.name != unit) continue;
    if (number > limit / known.factor) return std::nullopt;
    return number * known.factor;
  }
  return std::nullopt;
}

// Takes `digits` digits from the front; nullopt when they are not there.
std::optional<int> take_number(std::string_view &text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int number = 0;
  for (char const c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view &text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == any_of.npos) return false;
  text.remove_prefix(1);
  return true;
}

// Nanoseconds of a fraction without its dot; at least one digit, those past the ninth are dropped.
std::optional<std::chrono::nanoseconds> take_fraction(std::string_view &text) {
  std::int64_t nanoseconds = 0;
  std::int64_t unit = 100'000'000;
  bool any = false;
  while (auto const digit = take_number(text, 1)) {
    any = true;
    nanoseconds += *digit * unit;
    unit /= 10;
  }
  if (!any) return std::nullopt;
  return std::chrono::nanoseconds(nanoseconds);
}

std::optional<std::chrono::minutes> take_offset(std::string_view &text) {
  if (take(text, "Zz")) return std::chrono::minutes(0);
  bool const west = !text.empty() && text.front() == '-';
  if (!take(text, "+-")) return std::nullopt;
  auto const hours = take_number(text, 2);
  if (!hours || *hours > 23 || !take(text, ":")) return std::nullopt;
  auto const minutes = take_number(text, 2);
  if (!minutes || *minutes > 59) return std::nullopt;
  auto const offset = std::chrono::minutes(*hours * 60 + *minutes);
  return west ? -offset : offset;
}

std::optional<std::chrono::sys_days> take_date(std::string_view &text) {
  auto const year = take_number(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  auto const month = take_number(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  auto const day = take_number(text, 2);
  if (!day) return std::nullopt;
  std::chrono::year_month_day const date{std::chrono::year{*year}, std::chrono::month(unsigned(*month)),
                                         std::chrono::day(unsigned(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

std::optional<std::chrono::nanoseconds> take_time(std::string_view &text) {
  auto const hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  auto const minute = take_number(text, 2);
  if (!minute || *minute > 59 || !take(text, ":")) return std::nullopt;
  auto const second = take_number(text, 2);
  if (!second || *second > 60) return std::nullopt;
  std::chrono::nanoseconds time = std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
                                  std::chrono::seconds(*second == 60 ? 59 : *second);
  if (take(text, ".")) {
    auto const fraction = take_fraction(text);
    if (!fraction) return std::nullopt;
    time += *fraction;
  }
  return time;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  auto const number = with_unit(text, kDurations, kLongest);
  if (!number) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*number));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return with_unit(text, kSizes, std::uint64_t{1} << 63);
}

std::optional<std::chrono::system_clock::time_point> parse_timestamp(std::string_view text) {
  auto const date = take_date(text);
  // The clock counts nanoseconds in 64 bits: years far from now would wrap around to a time that is not
  // theirs.
  if (!date || *date < std::chrono::sys_days(std::chrono::year{1970} / 1 / 1) ||
      *date > std::chrono::sys_days(std::chrono::year{2261} / 12 / 31) || !take(text, "Tt")) {
    return std::nullopt;
  }
  auto const time = take_time(text);
  if (!time) return std::nullopt;
  auto const offset = take_offset(text);
  if (!offset || !text.empty()) return std::nullopt;
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(date->time_since_epoch() + *time -
                                                                      *offset));
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
  bool const hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t number = 0;
  auto const [end, ec] =
      std::from_chars(text.data(), text.data() + text.size(), number, hexadecimal ? 16 : 10);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace imdsgate
