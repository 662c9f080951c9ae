// Rules for the tests of replay.
#pragma once

#include <gtest/gtest.h>

#include "rules/engine.hpp"
#include "rules/load_rules.hpp"

namespace imdsgate {

inline std::vector<std::shared_ptr<Rule const>> rules_of(std::vector<std::string> const &queries) {
  std::vector<std::shared_ptr<Rule const>> rules;
  for (auto const &query : queries) {
    std::string text = "id: r" + std::to_string(rules.size()) + "\nname: R\nquery: |\n  " + query + "\n";
    auto loaded = load_rules(text, "r.yaml");
    for (auto const &problem : loaded.problems) ADD_FAILURE() << problem.to_string();
    for (auto &rule : loaded.rules) rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace imdsgate
