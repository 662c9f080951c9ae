#include "attribute/exe_proof.hpp"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>

namespace imdsgate {
namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr std::size_t kMaxMountinfoBytes = 1u << 20;

// The path as the kernel wrote it has neither symbolic links nor dots, so one that needs a link to be
// followed here means another file.
HeldFd open_path(int root, char const *path, std::uint64_t resolve) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | resolve;
  return HeldFd(static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how)));
}

std::optional<Mount> mount_in(std::string_view mountinfo, std::uint64_t id) {
  for (auto &mount : parse_mountinfo(mountinfo)) {
    if (mount.id == id) return std::move(mount);
  }
  return std::nullopt;
}

std::optional<Mount> own_mount(std::uint64_t id) {
  std::ifstream file("/proc/self/mountinfo");
  std::string const text{std::istreambuf_iterator<char>(file), {}};
  return mount_in(text, id);
}

// `root` is not looked at where the path is absolute; mount() is asked for the executable's mount.
template <class MountOf>
Sight seen_from(int root, char const *path, FileState const &executable, MountOf mount_of) {
  auto file = open_path(root, path, RESOLVE_CACHED);
  if (!file && errno == EAGAIN) {
    // Not in the kernel's name cache: only a walk that asks the file system can tell, and only a local one
    // that is mounted there is asked.
    auto const mount = mount_of();
    if (!mount || !is_local_filesystem(mount->type)) return Sight::unreadable;
    file = open_path(root, path, 0);
  }
  if (!file) return errno == EACCES || errno == EPERM || errno == EAGAIN ? Sight::unreadable : Sight::other;
  auto const here = file_state(file.get(), "", AT_EMPTY_PATH);
  if (!here) return Sight::unreadable;
  return here->id == executable.id ? Sight::same : Sight::other;
}

Sight seen_from_here(std::string const &path, FileState const &executable) {
  return seen_from(AT_FDCWD, path.c_str(), executable, [&] { return own_mount(executable.mount); });
}

std::string whole(HeldFd const &file) {
  std::string text;
  std::array<char, 16384> part;
  while (file && text.size() < kMaxMountinfoBytes) {
    auto const size = ::read(file.get(), part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  return text;
}

std::uint64_t inode_of(HeldFd const &file) {
  struct stat state {};
  return file && ::fstat(file.get(), &state) == 0 ? state.st_ino : 0;
}

std::uint64_t own_mount_namespace() {
  struct stat space {};
  return ::stat("/proc/self/ns/mnt", &space) == 0 ? space.st_ino : 0;
}

// Only root of the host made the mounts of such a namespace, or whoever he lets: a namespace belongs to the
// user namespace whose root may mount in it.
bool belongs_to_initial_users(HeldFd const &mount_namespace) {
  constexpr std::uint64_t kInitialUserNamespace = 0xEFFFFFFDu;  // PROC_USER_INIT_INO
  return mount_namespace &&
         inode_of(HeldFd(::ioctl(mount_namespace.get(), NS_GET_USERNS))) == kInitialUserNamespace;
}

// Who may call chroot(2), as the root of a user namespace of his own may, can be below a directory of his
// choice, also one of another namespace that he was passed a descriptor of; the latter has none of the mounts
// in mountinfo.
bool is_namespace_root(HeldFd const &root) {
  auto const above = root ? open_path(root.get(), "..", RESOLVE_CACHED) : HeldFd();
  auto const is = above ? file_state(root.get(), "", AT_EMPTY_PATH) : std::nullopt;
  return is && is == file_state(above.get(), "", AT_EMPTY_PATH);
}

// Of a container: the path, seen from the root of its mount namespace, is the file on the mount that it runs
// from.
bool seen_in_its_namespace(ProcDir &process, std::string const &path, FileState const &executable) {
  auto const before = process.open_at("ns/mnt", O_RDONLY);
  if (!path.starts_with('/') || inode_of(before) == own_mount_namespace() ||
      !belongs_to_initial_users(before))
    return false;
  auto const mount = mount_in(whole(process.open_at("mountinfo", O_RDONLY)), executable.mount);
  auto const root = process.open_at("root", O_PATH | O_DIRECTORY);
  if (!mount || !is_namespace_root(root)) return false;
  auto const seen = seen_from(root.get(), path.c_str() + 1, executable, [&] { return mount; });
  return seen == Sight::same && inode_of(process.open_at("ns/mnt", O_RDONLY)) == inode_of(before);
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
  } else if (seen != Sight::same) {
    bool const here = own_mount(file->mount).has_value();
    executable.unproven = seen == Sight::unreadable ? Unproven::unreadable
                          : here                    ? Unproven::other_file
                                                    : Unproven::other_namespace;
    executable.proven_in_namespace = !here && seen_in_its_namespace(process, executable.path, *file);
  }
  return executable;
}

}  // namespace imdsgate
