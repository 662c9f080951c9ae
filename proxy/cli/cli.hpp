// The command line: one subcommand a file, each registered by a function here (interfaces §1).
#pragma once

#include <CLI/CLI.hpp>

namespace imdsgate {

// Exit codes: 0 done, 1 the answer is no or it failed, 2 usage or configuration error.
int run_command_line(int argc, char **argv);

// Each adds its subcommand; its callback leaves the exit code in `exit_code`.
void add_run(CLI::App &app, int &exit_code);
void add_check(CLI::App &app, int &exit_code);
void add_intercept(CLI::App &app, int &exit_code);
void add_control(CLI::App &app, int &exit_code);  // status, mode, reload
void add_replay(CLI::App &app, int &exit_code);
void add_who(CLI::App &app, int &exit_code);
void add_doctor(CLI::App &app, int &exit_code);
void add_prober(CLI::App &app, int &exit_code);   // hidden: the gateway starts it
void add_dialler(CLI::App &app, int &exit_code);  // the same

}  // namespace imdsgate
