#include "attribute/exe_proof.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

namespace imdsgate {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

// The path as the kernel wrote it has neither symbolic links nor dots, so one that needs a link to be
// followed here means another file.
HeldFd open_path(std::string const &path, std::uint64_t resolve) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | resolve;
  return HeldFd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
}

std::optional<Mount> own_mount(std::uint64_t id) {
  std::ifstream file("/proc/self/mountinfo");
  std::string const text{std::istreambuf_iterator<char>(file), {}};
  for (auto &mount : parse_mountinfo(text)) {
    if (mount.id == id) return std::move(mount);
  }
  return std::nullopt;
}

Sight seen_from_here(std::string const &path, FileState const &executable) {
  auto file = open_path(path, RESOLVE_CACHED);
  if (!file && errno == EAGAIN) {
    // Not in the kernel's name cache: only a walk that asks the file system can tell, and only a local one of
    // ours is asked.
    auto const mount = own_mount(executable.mount);
    if (!mount || !is_local_filesystem(mount->type)) return Sight::unreadable;
    file = open_path(path, 0);
  }
  if (!file) return errno == EACCES || errno == EPERM || errno == EAGAIN ? Sight::unreadable : Sight::other;
  auto const here = file_state(file.get(), "", AT_EMPTY_PATH);
  if (!here) return Sight::unreadable;
  return here->id == executable.id ? Sight::same : Sight::other;
}

std::uint64_t own_mount_namespace() {
  struct stat space {};
  return ::stat("/proc/self/ns/mnt", &space) == 0 ? space.st_ino : 0;
}

}  // namespace

std::optional<Executable> RecordedProofs::prove(KernelExec const &exec) {
  static auto const own_namespace = own_mount_namespace();
  if (!exec.path_known || exec.detached) return std::nullopt;
  Executable executable;
  executable.path = exec.path;
  executable.deleted = exec.unlinked;
  if (exec.self.traced) {
    executable.unproven = Unproven::traced;
  } else if (exec.unlinked) {
    executable.unproven = Unproven::exe_replaced;
  } else {
    FileState const file{exec.executable, exec.mount, exec.links};
    auto const [known, is_new] = seen_.try_emplace({exec.path, file});
    if (is_new) known->second = seen_from_here(exec.path, file);
    auto const seen = known->second;
    if (seen == Sight::same) return executable;
    if (exec.mount_namespace == own_namespace) return std::nullopt;
    executable.unproven = seen == Sight::other ? Unproven::other_namespace : Unproven::unreadable;
  }
  return executable;
}

std::optional<Executable> prove_executable(ProcDir &process, bool traced) {
  auto const file = process.executable();
  auto path = process.link("exe");
  if (!path) return std::nullopt;
  Executable executable;
  executable.path = std::move(*path);
  if (!file) {
    executable.unproven = Unproven::unreadable;
    return executable;
  }
  auto const seen = executable.path.starts_with('/') ? seen_from_here(executable.path, *file) : Sight::other;
  // A file may be called "x (deleted)"; what has no link left, or is not found under that name, was deleted.
  if (executable.path.ends_with(kDeleted) && (file->links == 0 || seen != Sight::same)) {
    executable.deleted = true;
    executable.path.resize(executable.path.size() - kDeleted.size());
  }
  static auto const own_user_namespace = file_state(AT_FDCWD, "/proc/self/ns/user", 0);
  auto const user_namespace = process.user_namespace();
  if (traced) {
    executable.unproven = Unproven::traced;
  } else if (!own_user_namespace || !user_namespace || user_namespace->id != own_user_namespace->id) {
    executable.unproven = Unproven::other_namespace;
  } else if (executable.deleted || file->links == 0) {
    executable.unproven = Unproven::exe_replaced;
  } else if (seen == Sight::unreadable) {
    executable.unproven = Unproven::unreadable;
  } else if (seen == Sight::other) {
    executable.unproven = own_mount(file->mount) ? Unproven::other_file : Unproven::other_namespace;
  }
  return executable;
}

}  // namespace imdsgate
