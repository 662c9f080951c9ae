// nft -j's rules as ChainSteps. Source: libnftables-json(5).
#include <optional>

#include "intercept/foreign_rules.hpp"
#include "intercept/foreign_rules_ruleset.hpp"
#include "intercept/owner_chains.hpp"

namespace imdsgate {
namespace {

using nft::at;
using nft::text_at;
namespace json = boost::json;

using Then = ChainStep::Then;

// The elements of an anonymous set, or the one value. A named set's elements may change, so it is no value.
std::vector<json::value const *> alternatives(json::value const &right) {
  std::vector<json::value const *> values;
  auto const *set = at(right, "set");
  auto const *array = set != nullptr ? set->if_array() : right.if_array();
  if (array == nullptr) return {&right};
  for (auto const &each : *array) values.push_back(&each);
  return values;
}

std::optional<std::uint32_t> number_in(json::value const &value) {
  auto const *number = value.if_int64();
  if (number == nullptr || *number < 0 || *number > IdRange::kLast) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

std::optional<IdRange> range_in(json::value const &value) {
  auto const *range = at(value, "range");
  if (range == nullptr) {
    auto const number = number_in(value);
    return number ? std::optional(IdRange{*number, *number}) : std::nullopt;
  }
  auto const *ends = range->if_array();
  if (ends == nullptr || ends->size() != 2) return std::nullopt;
  auto const first = number_in((*ends)[0]), last = number_in((*ends)[1]);
  return first && last ? std::optional(IdRange{*first, *last}) : std::nullopt;
}

std::optional<IdRanges> ranges_in(json::value const &right) {
  IdRanges ranges;
  for (auto const *each : alternatives(right)) {
    auto const range = range_in(*each);
    if (!range) return std::nullopt;
    ranges.push_back(*range);
  }
  return ranges;
}

std::optional<AddressBlock> block_in(json::value const &value) {
  if (auto const *text = value.if_string()) return AddressBlock::parse(std::string_view(*text));
  if (auto const *prefix = at(value, "prefix"); prefix != nullptr && prefix->is_object()) {
    auto const *length = prefix->get_object().if_contains("len");
    if (length == nullptr || !length->is_int64()) return std::nullopt;
    return AddressBlock::parse(text_at(prefix->get_object(), "addr") + '/' +
                               std::to_string(length->get_int64()));
  }
  auto const *range = at(value, "range");
  auto const *ends = range != nullptr ? range->if_array() : nullptr;
  if (ends == nullptr || ends->size() != 2 || !(*ends)[0].is_string() || !(*ends)[1].is_string())
    return std::nullopt;
  return AddressBlock::parse(std::string((*ends)[0].get_string()) + '-' +
                             std::string((*ends)[1].get_string()));
}

// Whether `value` is among the words on the right; nullopt: they are not all words.
std::optional<bool> among(json::value const &right, std::string_view value) {
  bool found = false;
  for (auto const *each : alternatives(right)) {
    auto const *text = each->if_string();
    if (text == nullptr || text->starts_with('@')) return std::nullopt;
    found = found || *text == value;
  }
  return found;
}

class StepReader {
 public:
  explicit StepReader(Endpoint const &endpoint) : endpoint_(endpoint) {}

  ChainStep read(json::array const &expressions) {
    for (auto const &expression : expressions) {
      auto const *match = at(expression, "match");
      if (match == nullptr || !match->is_object()) {
        statement(expression);
      } else if (!holds(match->get_object())) {
        tests_.unclear = true;
      }
    }
    step_.applies = tests_.applies(step_.then);
    return std::move(step_);
  }

 private:
  bool matches(std::optional<bool> holds, bool negated) {
    if (holds && *holds == negated) tests_.never = true;
    return holds.has_value();
  }

  // False: it tests something else.
  bool holds(json::object const &match) {
    auto const *left = match.if_contains("left");
    auto const *right = match.if_contains("right");
    auto const op = text_at(match, "op");
    if (left == nullptr || right == nullptr) return false;
    if (auto const *meta = at(*left, "meta"); meta != nullptr && meta->is_object()) {
      return holds_meta(text_at(meta->get_object(), "key"), op, *right);
    }
    bool const negated = op == "!=";
    if (!negated && op != "==" && op != "in") return false;
    if (auto const *payload = at(*left, "payload"); payload != nullptr && payload->is_object()) {
      return holds_payload(payload->get_object(), *right, negated);
    }
    auto const *ct = at(*left, "ct");
    if (ct == nullptr || !ct->is_object() || text_at(ct->get_object(), "key") != "state") return false;
    auto const fresh = among(*right, "new"), later = among(*right, "established");
    if (!fresh || !later) return false;
    tests_.not_new = *fresh == negated;
    tests_.established = *later != negated;
    return true;
  }

  bool holds_meta(std::string const &key, std::string const &op, json::value const &right) {
    if (key == "skuid" || key == "skgid") return owner(key == "skgid", op, right);
    bool const negated = op == "!=";
    if (!negated && op != "==") return false;
    if (key == "l4proto") return matches(among(right, "tcp"), negated);
    if (key == "nfproto") return matches(among(right, endpoint_.address.is_v4() ? "ipv4" : "ipv6"), negated);
    // A metadata service is not on loopback.
    auto const *name = right.if_string();
    bool const loopback = (key == "oif" || key == "oifname") && name != nullptr && *name == "lo";
    return loopback && matches(false, negated);
  }

  bool owner(bool of_group, std::string const &op, json::value const &right) {
    auto ranges = ranges_in(right);
    if (!ranges) return false;
    OwnerTest test{of_group, *std::move(ranges), op == "!="};
    if (op != "==" && op != "!=" && op != "in") {
      if (test.ranges.size() != 1) return false;
      auto const bound = test.ranges.front().first;
      test.negated = op == ">" || op == ">=";  // not up to the bound, or not below it
      if (op != "<" && op != "<=" && !test.negated) return false;
      bool const inclusive = op == "<=" || op == ">";
      if (!inclusive && bound == 0) return false;
      test.ranges = {{0, inclusive ? bound : bound - 1}};
    }
    step_.owners.push_back(std::move(test));
    return true;
  }

  bool holds_payload(json::object const &payload, json::value const &right, bool negated) {
    auto const protocol = text_at(payload, "protocol"), field = text_at(payload, "field");
    if (field == "daddr" && (protocol == "ip" || protocol == "ip6")) {
      if ((protocol == "ip") != endpoint_.address.is_v4()) return matches(false, false);
      return destination(right, negated);
    }
    if (field == "protocol" || field == "nexthdr") return matches(among(right, "tcp"), negated);
    if (field != "dport") return false;
    if (protocol != "tcp" && protocol != "th") return matches(false, false);
    auto const ranges = ranges_in(right);
    return ranges && matches(contains(*ranges, endpoint_.port), negated);
  }

  bool destination(json::value const &right, bool negated) {
    bool found = false;
    for (auto const *each : alternatives(right)) {
      auto const block = block_in(*each);
      if (!block) return false;
      found = found || block->covers(endpoint_.address);
    }
    return matches(found, negated);
  }

  void statement(json::value const &statement) {
    for (auto const only_writes : {"counter", "log", "mangle"}) {
      if (at(statement, only_writes) != nullptr) return;
    }
    static constexpr std::pair<std::string_view, Then> kVerdicts[] = {{"accept", Then::accept},
                                                                      {"drop", Then::refuse},
                                                                      {"reject", Then::refuse},
                                                                      {"return", Then::leave},
                                                                      {"continue", Then::next}};
    for (auto const &[word, then] : kVerdicts) {
      if (at(statement, word) != nullptr) return void(step_.then = then);
    }
    for (auto const &[word, then] : {std::pair("jump", Then::call), std::pair("goto", Then::go_to)}) {
      auto const *verdict = at(statement, word);
      if (verdict == nullptr || !verdict->is_object()) continue;
      step_.target = text_at(verdict->get_object(), "target");
      return void(step_.then = then);
    }
    tests_.unclear = true;
    step_.then = Then::unclear;
  }

  Endpoint const endpoint_;
  StepTests tests_;
  ChainStep step_;
};

}  // namespace

ChainStep step_of(json::array const &expressions, Endpoint const &endpoint) {
  return StepReader(endpoint).read(expressions);
}

}  // namespace imdsgate
