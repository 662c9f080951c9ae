#include "cli/cli.hpp"

int main(int argc, char **argv) {
  return imdsgate::run_command_line(argc, argv);
}
