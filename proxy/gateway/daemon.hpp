// `imdsgate run`: composes the parts, in an order in which nothing is redirected before it can be served, and takes
// them down again in one in which no client is left with a redirect to nobody.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "gateway/settings.hpp"

namespace imdsgate {

struct RunOptions {
  std::filesystem::path configuration;
  bool named = false;               // by --config
  std::optional<Mode> mode;         // --mode, which outranks the file, at a reload too
  std::optional<std::string> netns; // --netns: a name under /run/netns or a path
};

// Runs until SIGTERM or SIGINT. Returns the exit code; what went wrong at start-up was printed to stderr.
int run_daemon(RunOptions const &options);

}  // namespace imdsgate
