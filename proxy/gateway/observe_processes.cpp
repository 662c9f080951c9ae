#include "gateway/observe_processes.hpp"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

namespace imdsgate {
namespace {

struct CloseDirectory {
  void operator()(DIR *directory) const { ::closedir(directory); }
};

struct ProcessStatus {
  pid_t pid = 0, parent = 0;
  std::string name;
  uid_t uid = 0;  // effective
  std::uint64_t capabilities = 0;  // effective
};

std::vector<pid_t> pids() {
  std::unique_ptr<DIR, CloseDirectory> const proc(::opendir("/proc"));
  std::vector<pid_t> list;
  while (auto const *entry = proc ? ::readdir(proc.get()) : nullptr) {
    std::string_view const name(entry->d_name);
    pid_t pid = 0;
    auto const [end, code] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (code == std::errc() && end == name.data() + name.size()) list.push_back(pid);
  }
  return list;
}

std::string path_of(pid_t pid, char const *file) { return "/proc/" + std::to_string(pid) + '/' + file; }

std::optional<ProcessStatus> status_of_process(pid_t pid) {
  std::ifstream file(path_of(pid, "status"));
  ProcessStatus status;
  status.pid = pid;
  bool complete = false;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(std::min(line.find('\t') + 1, line.size())));
    if (line.starts_with("Name:")) std::getline(words, status.name);
    if (line.starts_with("PPid:")) words >> status.parent;
    if (line.starts_with("Uid:")) words >> status.uid >> status.uid;
    if (line.starts_with("CapEff:")) complete = static_cast<bool>(words >> std::hex >> status.capabilities);
  }
  return complete ? std::optional(std::move(status)) : std::nullopt;
}

std::optional<ino_t> namespace_of(std::string const &path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  return found.st_ino;
}

std::optional<ino_t> namespace_of(pid_t pid, char const *kind) {
  return namespace_of(path_of(pid, (std::string("ns/") + kind).c_str()));
}

std::string told(ProcessStatus const &status) {
  return status.name + " (pid " + std::to_string(status.pid) + ", uid " + std::to_string(status.uid) + ')';
}

}  // namespace

Result<std::vector<NamespaceSeen>> other_network_namespaces() {
  auto const own = namespace_of("/proc/self/ns/net");
  std::map<ino_t, NamespaceSeen> found;
  std::size_t readable = 0, hidden = 0;
  for (pid_t const pid : pids()) {
    auto const space = namespace_of(pid, "net");
    ++(space ? readable : hidden);
    if (!space || space == own) continue;
    auto &seen = found[*space];
    if (seen.processes++ > 0) continue;
    seen.inode = *space;
    auto const status = status_of_process(pid);
    seen.example = status ? told(*status) : "pid " + std::to_string(pid);
  }
  if (hidden > readable) return Error{Errc::system, "most processes' namespaces may not be read"};
  std::vector<NamespaceSeen> list;
  for (auto &[inode, seen] : found) list.push_back(std::move(seen));
  std::ranges::stable_sort(list, std::greater(), &NamespaceSeen::processes);
  return list;
}

Result<std::vector<PowerfulSeen>> capable_processes(std::set<pid_t> const &own) {
  auto const user = namespace_of("/proc/self/ns/user"), network = namespace_of("/proc/self/ns/net");
  constexpr std::pair<int, char const *> kPowers[] = {{CAP_NET_ADMIN, "NET_ADMIN"}, {CAP_NET_RAW, "NET_RAW"}};
  std::vector<PowerfulSeen> list;
  std::size_t hidden = 0;
  for (pid_t const pid : pids()) {
    auto const status = status_of_process(pid);
    if (!status || status->uid == 0 || own.contains(pid)) continue;
    std::string powers;
    for (auto const &[capability, name] : kPowers) {
      if ((status->capabilities >> capability & 1) != 0) powers.append(powers.empty() ? "" : ", ").append(name);
    }
    if (powers.empty()) continue;
    auto const its_user = namespace_of(pid, "user"), its_network = namespace_of(pid, "net");
    if (!its_user || !its_network) {
      ++hidden;
    } else if (its_user == user && its_network == network) {
      list.push_back({told(*status), std::move(powers)});
    }
  }
  if (hidden > 0) return Error{Errc::system, std::to_string(hidden) + " processes' namespaces may not be read"};
  return list;
}

std::set<pid_t> process_tree(pid_t root) {
  std::map<pid_t, pid_t> parents;
  for (pid_t const pid : pids()) {
    if (auto const status = status_of_process(pid)) parents[pid] = status->parent;
  }
  std::set<pid_t> tree{root};
  for (std::size_t before = 0; before != tree.size();) {
    before = tree.size();
    for (auto const &[pid, parent] : parents) {
      if (tree.contains(parent)) tree.insert(pid);
    }
  }
  return tree;
}

}  // namespace imdsgate
