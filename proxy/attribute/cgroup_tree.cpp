#include "attribute/cgroup_tree.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>

#include "attribute/proc_dir.hpp"

namespace imdsgate {
namespace {

constexpr int kKernfsHandle =
    0xfe;  // FILEID_KERNFS of include/linux/exportfs.h: eight bytes, the cgroup's id
constexpr std::size_t kKeptOpen = 64;

HeldFd open_beneath(int root, std::string const &path) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  auto const relative = path == "/" ? std::string(".") : path.substr(1);
  return HeldFd(static_cast<int>(::syscall(SYS_openat2, root, relative.c_str(), &how, sizeof how)));
}

std::optional<std::string> read_all(int file) {
  std::string text;
  std::array<char, 4096> page;
  for (;;) {
    auto const got = ::pread(file, page.data(), page.size(), static_cast<off_t>(text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) return text;
    text.append(page.data(), static_cast<std::size_t>(got));
  }
}

std::vector<pid_t> parse_pids(std::string_view text) {
  std::vector<pid_t> pids;
  while (!text.empty()) {
    pid_t pid = 0;
    auto const [end, ec] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (ec != std::errc{}) break;
    pids.push_back(pid);
    text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(end - text.data()) + 1));
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

// The processes of the threads in cgroup.threads: in a threaded cgroup cgroup.procs answers EOPNOTSUPP.
std::vector<pid_t> processes_of(std::vector<pid_t> const &threads) {
  std::vector<pid_t> pids;
  for (auto const thread : threads) {
    if (thread == 0) pids.push_back(0);
    auto dir = ProcDir::open(thread);
    if (auto const status = dir ? dir->status() : std::nullopt) pids.push_back(status->tgid);
  }
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

std::optional<std::vector<pid_t>> members_of(int directory, HeldFd &members) {
  if (!members) members.reset(::openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC));
  if (!members) return std::nullopt;
  if (auto const text = read_all(members.get())) return parse_pids(*text);
  if (errno != EOPNOTSUPP) return std::nullopt;
  HeldFd const threads(::openat(directory, "cgroup.threads", O_RDONLY | O_CLOEXEC));
  auto const text = threads ? read_all(threads.get()) : std::nullopt;
  if (!text) return std::nullopt;
  return processes_of(parse_pids(*text));
}

// systemd marks what it hands over: trusted.delegate, which reading takes CAP_SYS_ADMIN, and since 250
// user.delegate. What is handed to an unprivileged user also belongs to him.
bool owned_by_root(int directory) {
  struct stat state {};
  if (::fstat(directory, &state) != 0 || state.st_uid != 0 || (state.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return false;
  }
  return ::fgetxattr(directory, "user.delegate", nullptr, 0) < 0 &&
         ::fgetxattr(directory, "trusted.delegate", nullptr, 0) < 0;
}

}  // namespace

CgroupTree CgroupTree::open() {
  CgroupTree tree;
  HeldFd const file(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  auto const text = file ? read_all(file.get()) : std::nullopt;
  if (!text) return tree;
  for (auto const &mount : parse_mountinfo(*text)) {
    if (mount.type != "cgroup2" || mount.root != "/") continue;
    tree.root_.reset(::open(mount.mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    tree.mount_point_ = mount.mount_point;
    if (tree.root_) break;
  }
  return tree;
}

CgroupTree::Opened *CgroupTree::opened(std::uint64_t id) {
  for (auto known = recent_.begin(); known != recent_.end(); ++known) {
    if (known->id != id) continue;
    recent_.splice(recent_.begin(), recent_, known);
    return &recent_.front();
  }
  alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof id> storage{};
  auto *handle = reinterpret_cast<file_handle *>(storage.data());
  handle->handle_bytes = sizeof id;
  handle->handle_type = kKernfsHandle;
  std::memcpy(handle->f_handle, &id, sizeof id);
  HeldFd directory(::open_by_handle_at(root_.get(), handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return nullptr;
  if (recent_.size() >= kKeptOpen) recent_.pop_back();
  recent_.push_front({id, std::move(directory), HeldFd{}, {}});
  return &recent_.front();
}

std::optional<std::vector<pid_t>> CgroupTree::processes(std::uint64_t id) {
  auto *cgroup = root_ && id != 0 ? opened(id) : nullptr;
  if (!cgroup) return std::nullopt;
  auto pids = members_of(cgroup->directory.get(), cgroup->members);
  if (!pids) recent_.pop_front();  // it was removed
  return pids;
}

std::optional<std::vector<pid_t>> CgroupTree::processes(std::string const &path) {
  if (!root_ || !path.starts_with('/')) return std::nullopt;
  auto const directory = open_beneath(root_.get(), path);
  HeldFd members;
  return directory ? members_of(directory.get(), members) : std::nullopt;
}

std::optional<std::string> CgroupTree::path(std::uint64_t id) {
  auto *cgroup = root_ && id != 0 ? opened(id) : nullptr;
  if (!cgroup) return std::nullopt;
  if (!cgroup->path.empty()) return cgroup->path;
  std::array<char, PATH_MAX> text;
  auto const link = "/proc/self/fd/" + std::to_string(cgroup->directory.get());
  auto const size = ::readlink(link.c_str(), text.data(), text.size());
  if (size < 0) return std::nullopt;
  std::string_view path(text.data(), static_cast<std::size_t>(size));
  // A cgroup may end in that itself; then its name is unknown, which is better than another's.
  if (path.ends_with(" (deleted)") || !path.starts_with(mount_point_)) return std::nullopt;
  path.remove_prefix(mount_point_.size());
  return cgroup->path = path.empty() ? "/" : std::string(path);
}

bool CgroupTree::only_root_names_in(std::string const &path) const {
  if (!root_ || !path.starts_with('/')) return false;
  for (std::size_t end = 1;; end = path.find('/', end + 1)) {
    auto const prefix = end == std::string::npos ? path : path.substr(0, end);
    auto const directory = open_beneath(root_.get(), prefix);
    if (!directory || !owned_by_root(directory.get())) return false;
    if (end == std::string::npos || end >= path.size()) return true;
  }
}

}  // namespace imdsgate
