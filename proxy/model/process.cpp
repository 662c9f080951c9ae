#include "model/process.hpp"

#include <algorithm>

namespace imdsgate {
namespace {

constexpr std::size_t kCommLength = 15;  // TASK_COMM_LEN - 1, linux/sched.h

std::string_view basename(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

void add(std::vector<std::string> &texts, std::string_view text) {
  if (!text.empty() && std::ranges::find(texts, text) == texts.end()) texts.emplace_back(text);
}

// A login shell's argv[0] starts with a dash that is no part of its name.
std::string_view invoked_as(Process const &process) {
  if (process.args.empty()) return {};
  std::string_view const invoked = process.args.front();
  return invoked.starts_with('-') ? invoked.substr(1) : invoked;
}

// Of a script the kernel names the process by the script and puts its path behind the interpreter and at most
// one argument of the first line (fs/binfmt_script.c). Empty: none, or none that can be told.
std::string_view script_of(Process const &process) {
  if (process.executable && basename(process.executable->path).substr(0, kCommLength) == process.comm)
    return {};
  for (std::size_t i = 1; i < std::min<std::size_t>(process.args.size(), 3); ++i) {
    if (!process.comm.empty() && basename(process.args[i]).substr(0, kCommLength) == process.comm) {
      return process.args[i];
    }
  }
  return {};
}

void add_names(std::vector<std::string> &names, Process const &process) {
  if (process.executable) add(names, basename(process.executable->path));
  add(names, basename(process.executed_as));
  add(names, basename(invoked_as(process)));
  add(names, process.comm);
}

void add_executables(std::vector<std::string> &paths, Process const &process) {
  if (process.executable) add(paths, process.executable->path);
  add(paths, process.executed_as);
  if (auto const invoked = invoked_as(process); invoked.find('/') != invoked.npos) add(paths, invoked);
  if (auto const script = script_of(process); script.find('/') != script.npos) add(paths, script);
}

}  // namespace

std::optional<std::string> Process::name() const {
  if (!executable) return std::nullopt;
  return std::string(basename(executable->path));
}

std::optional<std::string> Process::command_line() const {
  if (args.empty()) return std::nullopt;
  std::string line = args.front();
  for (std::size_t i = 1; i < args.size(); ++i) line.append(1, ' ').append(args[i]);
  return line;
}

void distrust(Process &process, Unproven why) {
  if (!process.executable) return;
  if (process.executable->proven()) process.executable->unproven = why;
  process.executable->proven_in_namespace = false;
}

std::vector<std::string> claimed_names(Process const &process) {
  std::vector<std::string> names;
  add_names(names, process);
  if (process.at_exec) add_names(names, *process.at_exec);
  return names;
}

std::vector<std::string> claimed_executables(Process const &process) {
  std::vector<std::string> paths;
  add_executables(paths, process);
  if (process.at_exec) add_executables(paths, *process.at_exec);
  return paths;
}

}  // namespace imdsgate
