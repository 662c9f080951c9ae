#include "intercept/foreign_rules_ruleset.hpp"

#include "intercept/ruleset_save.hpp"

namespace imdsgate::nft {

std::string text_at(json::object const &object, std::string_view key) {
  auto const *value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

json::value const *at(json::value const &value, std::string_view key) {
  auto const *object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(key);
}

Ruleset read_ruleset(json::array const &items) {
  Ruleset ruleset;
  for (auto const &item : items) {
    for (auto const kind : {"set", "map"}) {
      auto const *set = at(item, kind);
      if (set == nullptr || !set->is_object()) continue;
      auto const &object = set->get_object();
      Key const key{text_at(object, "family"), text_at(object, "table"), text_at(object, "name")};
      ruleset.sets[key] = object.if_contains("elem");
    }
    if (auto const *chain = at(item, "chain"); chain != nullptr && chain->is_object()) {
      auto const &object = chain->get_object();
      Key const key{text_at(object, "family"), text_at(object, "table"), text_at(object, "name")};
      ruleset.hooks[key] = text_at(object, "hook");
      if (text_at(object, "type") == "nat") ruleset.translating.insert(key);
      if (text_at(object, "policy") == "drop") ruleset.dropping.insert(key);
    }
    auto const *rule = at(item, "rule");
    if (rule == nullptr || !rule->is_object()) continue;
    auto const &object = rule->get_object();
    ruleset.rules.push_back(&object);
    auto &targets =
        ruleset.jumps[{text_at(object, "family"), text_at(object, "table"), text_at(object, "chain")}];
    walk(*rule, [&](json::value const &value) {
      for (auto const verb : {"jump", "goto"}) {
        auto const *verdict = at(value, verb);
        if (verdict == nullptr || !verdict->is_object()) continue;
        targets.insert(text_at(verdict->get_object(), "target"));
      }
    });
  }
  return ruleset;
}

std::set<Key> output_chains(Ruleset const &ruleset) {
  std::set<Key> reached, named;
  for (auto const &[chain, targets] : ruleset.jumps) {
    for (auto const &target : targets) named.insert({std::get<0>(chain), std::get<1>(chain), target});
  }
  for (auto const &[chain, hook] : ruleset.hooks) {
    if (hook == "output" || (hook.empty() && !named.contains(chain))) reached.insert(chain);
  }
  for (std::size_t before = 0; before != reached.size();) {
    before = reached.size();
    for (auto const &[chain, targets] : ruleset.jumps) {
      if (!reached.contains(chain)) continue;
      for (auto const &target : targets) reached.insert({std::get<0>(chain), std::get<1>(chain), target});
    }
  }
  return reached;
}

std::map<Key, std::string> rule_texts(std::string_view listing) {
  std::map<Key, std::string> texts;
  std::string family, table, pending;
  while (!listing.empty()) {
    auto const end = listing.find('\n');
    std::string_view line = listing.substr(0, end);
    listing.remove_prefix(end == listing.npos ? listing.size() : end + 1);
    while (line.starts_with('\t') || line.starts_with(' ')) line.remove_prefix(1);
    if (line.starts_with("table ")) {
      auto const words = split_words(line);
      if (words && words->size() > 2) std::tie(family, table) = std::tie((*words)[1], (*words)[2]);
      pending.clear();
      continue;
    }
    auto const handle = line.rfind(" # handle ");
    pending += (pending.empty() ? "" : " ") + std::string(line.substr(0, handle));
    if (handle != line.npos) {
      texts[{family, table, std::string(line.substr(handle + 10))}] = pending;
      pending.clear();
    } else if (line == "}" || line.ends_with(';')) {
      pending.clear();
    }
  }
  return texts;
}

}  // namespace imdsgate::nft
