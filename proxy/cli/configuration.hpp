// --config, the same for every subcommand that reads it.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

#include "gateway/settings.hpp"

namespace imdsgate {

inline constexpr char const *kDefaultConfiguration = "/etc/imdsgate/imdsgate.yaml";

class ConfigurationOption {
 public:
  void add_to(CLI::App &command);
  // Loads it and prints every problem to stderr, warnings for those who start or check; nullopt when one is an error
  // (exit 2).
  enum class Warnings { print, leave_out };
  std::optional<Configuration> load(Warnings warnings = Warnings::print) const;
  std::filesystem::path const &path() const { return path_; }
  bool named() const { return option_->count() > 0; }

 private:
  std::filesystem::path path_ = kDefaultConfiguration;
  CLI::Option *option_ = nullptr;
};

}  // namespace imdsgate
