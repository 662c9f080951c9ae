#include <memory>

#include "cli/cli.hpp"
#include "cli/configuration.hpp"
#include "gateway/daemon.hpp"

namespace imdsgate {

void add_run(CLI::App &app, int &exit_code) {
  struct Options {
    ConfigurationOption configuration;
    std::string mode;
    std::string netns;
  };
  auto const options = std::make_shared<Options>();
  auto *run = app.add_subcommand("run", "The daemon, in the foreground");
  options->configuration.add_to(*run);
  run->add_option("--mode", options->mode, "Outranks the file's mode")->check(CLI::IsMember({"audit", "enforce"}));
  run->add_option("--netns", options->netns, "Guard another network namespace: a name under /run/netns, or a path");
  run->callback([options, &exit_code] {
    RunOptions what;
    what.configuration = options->configuration.path();
    what.named = options->configuration.named();
    if (!options->mode.empty()) what.mode = options->mode == "audit" ? Mode::audit : Mode::enforce;
    if (!options->netns.empty()) what.netns = options->netns;
    exit_code = run_daemon(what);
  });
}

}  // namespace imdsgate
