#include "attribute/prober.hpp"

#include "cli/cli.hpp"

namespace imdsgate {

void add_prober(CLI::App &app, int &exit_code) {
  auto *prober = app.add_subcommand("prober", "Reads other processes for the daemon, which starts it");
  prober->group("");  // not in --help: of no use by hand
  prober->callback([&exit_code] { exit_code = run_prober(3); });
}

}  // namespace imdsgate
