#include "model/process.hpp"

namespace imdsgate {

std::optional<std::string> Process::name() const {
  if (!executable) return std::nullopt;
  auto const slash = executable->path.rfind('/');
  return slash == std::string::npos ? executable->path : executable->path.substr(slash + 1);
}

std::optional<std::string> Process::command_line() const {
  if (args.empty()) return std::nullopt;
  std::string line = args.front();
  for (std::size_t i = 1; i < args.size(); ++i) line.append(1, ' ').append(args[i]);
  return line;
}

}  // namespace imdsgate
