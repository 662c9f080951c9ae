#include "rules/value_test.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <compare>

namespace imdsgate::eql {

std::partial_ordering compare(Number const &a, Number const &b) {
  if (a.integral && b.integral) return a.integer <=> b.integer;
  // Wide enough for both, so that an integer a real cannot hold is not taken for its neighbour.
  auto const exact = [](Number const &n) {
    return n.integral ? static_cast<long double>(n.integer) : static_cast<long double>(n.real);
  };
  return exact(a) <=> exact(b);
}

bool holds(Comparison::Operator op, std::partial_ordering order) {
  switch (op) {
    case Comparison::Operator::equal: return order == 0;
    case Comparison::Operator::not_equal: return order != 0;
    case Comparison::Operator::less: return order < 0;
    case Comparison::Operator::less_equal: return order <= 0;
    case Comparison::Operator::greater: return order > 0;
    case Comparison::Operator::greater_equal: return order >= 0;
  }
  __builtin_unreachable();
}

std::optional<Number> read_number(std::string_view text) {
  // "inf" and "nan", which from_chars knows, are words.
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != text.npos) return std::nullopt;
  char const *const first = text.data();
  char const *const last = first + text.size();
  Number number;
  if (auto const [end, ec] = std::from_chars(first, last, number.integer); ec == std::errc{} && end == last) {
    number.real = static_cast<double>(number.integer);
    return number;
  }
  number.integral = false;
  if (auto const [end, ec] = std::from_chars(first, last, number.real); ec == std::errc{} && end == last) {
    return number;
  }
  return std::nullopt;
}

bool OneOf::fits(std::string_view value) const {
  if (address_field) {
    auto const address = Address::parse(value);
    if (!address) return texts.matches(value);
    if (std::find(addresses.begin(), addresses.end(), *address) != addresses.end()) return true;
    return texts.matches(address->to_string());
  }
  if (texts.matches(value)) return true;
  if (numbers.empty()) return false;
  auto const number = read_number(value);
  return number && std::any_of(numbers.begin(), numbers.end(),
                               [&](Number const &wanted) { return compare(*number, wanted) == 0; });
}

bool Networks::fits(std::string_view value) const {
  auto const address = Address::parse(value);
  if (!address) return false;
  auto const &bytes = address->bytes();
  return std::any_of(networks.begin(), networks.end(), [&](Network const &network) {
    auto const &wanted = network.address.bytes();
    auto const whole = static_cast<std::size_t>(network.bits / 8);
    int const rest = network.bits % 8;
    if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(whole), wanted.begin()))
      return false;
    return rest == 0 || (bytes[whole] ^ wanted[whole]) >> (8 - rest) == 0;
  });
}

std::optional<Networks::Network> Networks::parse(std::string_view text) {
  auto const slash = text.find('/');
  auto const address = Address::parse(text.substr(0, slash));
  if (slash == text.npos) return address ? std::optional(Network{*address, 128}) : std::nullopt;
  std::string_view const digits = text.substr(slash + 1);
  int bits = -1;
  auto const [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (!address || ec != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  bool const v4 = text.substr(0, slash).find(':') == text.npos;
  if (bits < 0 || bits > (v4 ? 32 : 128)) return std::nullopt;
  return Network{*address, v4 ? bits + 96 : bits};
}

bool Bound::fits(std::string_view value) const {
  if (auto const *text = std::get_if<std::string>(&bound))
    return holds(op, value <=> std::string_view(*text));
  if (auto const *limit = std::get_if<Number>(&bound)) {
    auto const number = read_number(value);
    return number && holds(op, compare(*number, *limit));
  }
  auto const address = Address::parse(value);
  return address && holds(op, *address <=> std::get<Address>(bound));
}

}  // namespace imdsgate::eql
