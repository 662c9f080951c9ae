#include "gateway/guest_proxy.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <system_error>

namespace imdsgate {
namespace {

// Of its package: /usr/sbin/azure-proxy-agent, and the units of today's and of the first versions.
constexpr std::string_view kComm = "azure-proxy-age";  // as the kernel cuts it (TASK_COMM_LEN)
constexpr std::array<std::string_view, 2> kUnits{"/azure-proxy-agent.service", "/GuestProxyAgent.service"};

// Not by who owns the directory: that is root for whoever made himself undumpable.
bool of_root(std::filesystem::path const &process) {
  std::ifstream file(process / "status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Uid:")) return line == "Uid:\t0\t0\t0\t0";
  }
  return false;
}

bool is_number(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

bool in_its_unit(std::filesystem::path const &process) {
  std::ifstream file(process / "cgroup");
  for (std::string line; std::getline(file, line);) {
    if (std::ranges::any_of(kUnits, [&](std::string_view unit) { return line.ends_with(unit); })) return true;
  }
  return false;
}

}  // namespace

Result<std::optional<std::string>> find_guest_proxy(std::filesystem::path const &proc) {
  std::error_code failed;
  if (!std::filesystem::exists(proc / "1", failed)) {
    return Error{Errc::refused, "processes of uid 0 cannot be seen in " + proc.string() + " (hidepid?)"};
  }
  std::filesystem::directory_iterator each(proc, failed);
  for (; !failed && each != std::filesystem::directory_iterator(); each.increment(failed)) {
    auto const &process = each->path();
    if (!is_number(process.filename().native())) continue;
    std::string name;
    std::ifstream comm(process / "comm");
    std::getline(comm, name);
    bool const is_it = (name == kComm || in_its_unit(process)) && of_root(process);
    if (is_it) return std::optional("process " + process.filename().string() + " (" + name + ')');
  }
  if (failed) return Error{Errc::system, proc.string() + ": " + failed.message()};
  return std::optional<std::string>();
}

}  // namespace imdsgate
