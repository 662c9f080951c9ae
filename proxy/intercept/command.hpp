// One run of another program: an argv, never a shell; input from memory, output into memory, a deadline.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace imdsgate {

struct CommandOutput {
  int exit_code = 0;  // 128 + N when signal N ended it, as shells say it
  std::string out;
  std::string err;
};

// Blocks until the program has ended; used by start-up, the CLI and the worker thread only. The program gets
// a fixed PATH and LC_ALL=C, its own process group, and no descriptor but the three. It runs in the network
// namespace of the calling thread. At the deadline, or when it prints more than 64 MiB, its group is killed.
class Command {
 public:
  // argv[0] is an absolute path: find_program().
  explicit Command(std::vector<std::string> argv) : argv_(std::move(argv)) {}
  Command &input(std::string text);
  Command &deadline(std::chrono::milliseconds limit);

  // Errc::timeout, Errc::refused (too much output) or Errc::system; a failing exit code is no error.
  Result<CommandOutput> run() const;

 private:
  std::vector<std::string> argv_;
  std::string input_;
  std::chrono::milliseconds deadline_{20000};
};

// Looks in /usr/sbin, /sbin, /usr/bin and /bin: a PATH that someone else set is not asked.
std::optional<std::string> find_program(std::string_view name);

}  // namespace imdsgate
