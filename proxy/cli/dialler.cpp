#include "cli/cli.hpp"
#include "gateway/root_dialler.hpp"

namespace imdsgate {

void add_dialler(CLI::App &app, int &exit_code) {
  auto *dialler = app.add_subcommand("dialler", "Connects to WireServer as uid 0 for the daemon, which starts it");
  dialler->group("");  // not in --help: of no use by hand
  dialler->callback([&exit_code] { exit_code = run_root_dialler(3); });
}

}  // namespace imdsgate
