#include "cli/configuration.hpp"

#include <iostream>

namespace imdsgate {

void ConfigurationOption::add_to(CLI::App &command) {
  option_ = command.add_option("--config", path_, "The configuration file")->capture_default_str();
}

std::optional<Configuration> ConfigurationOption::load(Warnings warnings) const {
  auto configuration = load_configuration(path_, named());
  for (auto const &problem : configuration.problems) {
    if (!problem.warning || warnings == Warnings::print) std::cerr << problem.to_string() << '\n';
  }
  if (!configuration.ok()) return std::nullopt;
  return configuration;
}

}  // namespace imdsgate
