#include "cli/cli.hpp"

#include <iostream>

namespace imdsgate {

int run_command_line(int argc, char **argv) {
  CLI::App app("imdsgate: a gateway in front of a cloud host's instance metadata service", "imdsgate");
  app.set_version_flag("--version", std::string("imdsgate ") + IMDSGATE_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  add_run(app, exit_code);
  add_check(app, exit_code);
  add_intercept(app, exit_code);
  add_control(app, exit_code);
  add_replay(app, exit_code);
  add_who(app, exit_code);
  add_doctor(app, exit_code);
  add_prober(app, exit_code);
  add_dialler(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const &error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (std::exception const &error) {
    std::cerr << "imdsgate: " << error.what() << '\n';
    return 1;
  }
  return exit_code;
}

}  // namespace imdsgate
