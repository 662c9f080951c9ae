#include <iostream>
#include <memory>

#include "cli/cli.hpp"
#include "cli/configuration.hpp"
#include "gateway/check.hpp"

namespace imdsgate {

void add_check(CLI::App &app, int &exit_code) {
  struct Options {
    ConfigurationOption configuration;
    bool show = false;
  };
  auto const options = std::make_shared<Options>();
  auto *check = app.add_subcommand("check", "Load everything a run would load; print every problem");
  options->configuration.add_to(*check);
  check->add_flag("--show", options->show, "Print the whole effective configuration");
  check->callback([options, &exit_code] {
    auto const report = check_configuration(options->configuration.path(), options->configuration.named());
    std::cerr << report.problems;
    if (options->show) std::cout << report.effective;
    exit_code = report.exit_status;
  });
}

}  // namespace imdsgate
