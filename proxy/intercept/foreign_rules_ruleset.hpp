// What `nft -j list ruleset` and `nft -s -a list ruleset` print, as values for the analyser of rules. Pure.
// Source: libnftables-json(5).
#pragma once

#include <boost/json.hpp>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace imdsgate::nft {

namespace json = boost::json;
using Key = std::tuple<std::string, std::string, std::string>;  // family, table, and a chain, set or handle

std::string text_at(json::object const &object, std::string_view key);  // empty: not there, or no string
json::value const *at(json::value const &value, std::string_view key);  // nullptr: not there, or no object

// Calls `visit` for every value in the tree.
template <class Visit>
void walk(json::value const &value, Visit const &visit) {
  visit(value);
  if (auto const *array = value.if_array()) {
    for (auto const &each : *array) walk(each, visit);
  } else if (auto const *object = value.if_object()) {
    for (auto const &each : *object) walk(each.value(), visit);
  }
}

// Borrows from the JSON it was read from.
struct Ruleset {
  std::map<Key, json::value const *> sets;  // named sets and maps: their elements
  std::map<Key, std::string> hooks;         // base chains
  std::set<Key> translating;                // those of type nat
  std::set<Key> dropping;                   // those whose policy is drop
  std::map<Key, std::set<std::string>> jumps;
  std::vector<json::object const *> rules;
};

Ruleset read_ruleset(json::array const &items);

// Chains that see what this host sends. A jump through a named map is not followed to its chain, so a chain
// without a hook that nothing leads to by name counts as well.
std::set<Key> output_chains(Ruleset const &ruleset);

// The rules as nft prints them, by family, table and handle.
std::map<Key, std::string> rule_texts(std::string_view listing);

}  // namespace imdsgate::nft
