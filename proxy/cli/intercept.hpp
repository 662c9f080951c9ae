// `imdsgate intercept install|remove|status`.
#pragma once

#include <CLI/CLI.hpp>

namespace imdsgate {

// Registers the subcommand with `app`. Its callback runs within app.parse() and sets `exit_code`, which must
// outlive that: 0 done or as specified, 1 not, 2 a configuration that cannot be used.
void add_intercept(CLI::App &app, int &exit_code);

}  // namespace imdsgate
