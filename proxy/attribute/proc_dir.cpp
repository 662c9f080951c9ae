#include "attribute/proc_dir.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace imdsgate {
namespace {

constexpr std::size_t kRemembered = 256;  // sockets of a process
// What a running process has run is written down at each tick of the clock (10 ms at 100 Hz) and when it
// stops.
constexpr std::chrono::milliseconds kTicks{40};

// Calls visit(name) for each entry but . and .. until it answers false. False: it did, or the directory is
// gone.
template <class Visit>
bool visit_entries(int directory, Visit visit) {
  struct Entry {  // struct linux_dirent64 of getdents64(2)
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t length;
    std::uint8_t type;
    char name[1];
  };
  alignas(Entry) std::array<char, 16384> buffer;
  if (::lseek(directory, 0, SEEK_SET) < 0) return false;
  for (;;) {
    auto const size = ::syscall(SYS_getdents64, directory, buffer.data(), buffer.size());
    if (size <= 0) return size == 0;
    for (long at = 0; at < size;) {
      auto const *entry = reinterpret_cast<Entry const *>(buffer.data() + at);
      at += entry->length;
      if (entry->name[0] == '.') continue;
      if (!visit(static_cast<char const *>(entry->name))) return false;
    }
  }
}

std::optional<std::uint64_t> socket_inode(int directory, char const *path) {
  constexpr std::string_view kPrefix = "socket:[";
  char text[64];  // what is longer is no socket
  auto const size = ::readlinkat(directory, path, text, sizeof text);
  if (size <= 0) return std::nullopt;
  std::string_view const link(text, static_cast<std::size_t>(size));
  if (!link.starts_with(kPrefix) || !link.ends_with(']')) return std::nullopt;
  std::uint64_t inode = 0;
  auto const [end, ec] = std::from_chars(link.data() + kPrefix.size(), link.data() + link.size() - 1, inode);
  if (ec != std::errc{} || end != link.data() + link.size() - 1) return std::nullopt;
  return inode;
}

// Calls visit(inode, name) for each socket until it answers false. False: the deadline passed.
template <class Visit>
bool search_table(int descriptors, Deadline deadline, Visit visit) {
  unsigned count = 0;
  bool in_time = true;
  visit_entries(descriptors, [&](char const *name) {
    if (++count % 256 == 0 && std::chrono::steady_clock::now() > deadline) return in_time = false;
    auto const inode = socket_inode(descriptors, name);
    return !inode || visit(*inode, name);
  });
  return in_time;
}

// Those among `inodes`, each once. False: the deadline passed.
bool search_for(int descriptors, std::string const &prefix, std::span<std::uint64_t const> inodes,
                Deadline deadline, std::vector<SocketPlace> &found) {
  return search_table(descriptors, deadline, [&](std::uint64_t inode, char const *name) {
    if (std::find(inodes.begin(), inodes.end(), inode) == inodes.end()) return true;
    bool const known =
        std::any_of(found.begin(), found.end(), [&](auto const &f) { return f.inode == inode; });
    if (!known) found.push_back({inode, prefix + name});
    return found.size() < inodes.size();
  });
}

// From a descriptor kept open: reading a /proc file at 0 generates it anew.
std::optional<std::string_view> read_again(int directory, char const *name, HeldFd &kept,
                                           std::span<char> buffer) {
  if (!kept) kept.reset(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  if (!kept) return std::nullopt;
  std::size_t size = 0;
  while (size < buffer.size()) {
    auto const got =
        ::pread(kept.get(), buffer.data() + size, buffer.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
    if (size < 4000) break;  // less than a page was there: that was all, no read needed to learn it
  }
  if (size == 0) return std::nullopt;
  return std::string_view(buffer.data(), size);
}

Refusal gone(pid_t pid) {
  return {Reason::process_gone, "process " + std::to_string(pid) + " ended"};
}

}  // namespace

std::optional<FileState> file_state(int directory, char const *name, int flags) {
  struct statx state {};
  if (::statx(directory, name, flags | AT_STATX_DONT_SYNC, STATX_INO | STATX_NLINK | STATX_MNT_ID, &state) !=
      0) {
    return std::nullopt;
  }
  FileState file;
  file.id.device = makedev(state.stx_dev_major, state.stx_dev_minor);
  file.id.inode = state.stx_ino;
  file.mount = (state.stx_mask & STATX_MNT_ID) != 0 ? state.stx_mnt_id : 0;
  file.links = state.stx_nlink;
  return file;
}

std::optional<ProcStat> stat_of(pid_t tgid) {
  HeldFd file;
  std::array<char, 2048> buffer;
  auto const text = read_again(AT_FDCWD, ("/proc/" + std::to_string(tgid) + "/stat").c_str(), file, buffer);
  return text ? parse_stat(*text) : std::nullopt;
}

std::optional<ProcDir> ProcDir::open(pid_t tgid) {
  auto process = open_unchecked(tgid);
  if (!process || !process->alive()) return std::nullopt;
  return process;
}

std::optional<ProcDir> ProcDir::open_unchecked(pid_t tgid) {
  if (tgid <= 0) return std::nullopt;
  auto const path = "/proc/" + std::to_string(tgid);
  HeldFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return std::nullopt;
  return ProcDir(tgid, std::move(dir));
}

bool ProcDir::alive() {
  // fstat of a dead process's directory still succeeds; a lookup in it does not. The link count of task/ is
  // the number of threads and two (proc_task_getattr).
  struct stat state {};
  if (::fstatat(dir_.get(), "task", &state, 0) != 0) return false;
  threads_ = state.st_nlink > 2 ? state.st_nlink - 2 : 0;
  return true;
}

std::optional<ProcStat> ProcDir::stat() {
  std::array<char, 2048> buffer;
  auto const text = read_again(dir_.get(), "stat", stat_, buffer);
  auto stat = text ? parse_stat(*text) : std::nullopt;
  if (stat) parent_ = stat->parent;
  return stat;
}

std::optional<ProcStatus> ProcDir::status() {
  std::array<char, 8192> buffer;
  auto const text = read_again(dir_.get(), "status", status_, buffer);
  return text ? parse_status(*text) : std::nullopt;
}

std::optional<FileState> ProcDir::executable() {
  return file_state(view(), "exe", 0);
}

std::optional<FileState> ProcDir::user_namespace() {
  return file_state(view(), "ns/user", 0);
}

std::optional<uid_t> ProcDir::effective_uid() const {
  struct stat state {};
  if (::fstat(dir_.get(), &state) != 0) return std::nullopt;
  return state.st_uid;
}

std::optional<std::string> ProcDir::read(char const *name, std::size_t limit) {
  HeldFd const file(::openat(view(), name, O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::string text(limit, '\0');
  std::size_t size = 0;
  while (size < limit) {
    auto const got = ::read(file.get(), text.data() + size, limit - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    size += static_cast<std::size_t>(got);
    if (got == 0 || size < 4000) break;  // less than a page was there: that was all
  }
  text.resize(size);
  return text;
}

HeldFd ProcDir::open_at(char const *name, int flags) const {
  return HeldFd(::openat(view(), name, flags | O_CLOEXEC));
}

std::optional<std::string> ProcDir::link(char const *name) {
  std::array<char, 4096> text;
  auto const size = ::readlinkat(view(), name, text.data(), text.size());
  if (size <= 0 || static_cast<std::size_t>(size) == text.size()) return std::nullopt;
  return std::string(text.data(), static_cast<std::size_t>(size));
}

Answered<ProcessSnapshot> ProcDir::snapshot(bool executable_optional) {
  auto stat = this->stat();
  if (!stat) return gone(pid_);
  bool const leader_ended = stat->state == 'Z' || stat->state == 'X';
  if (leader_ended) {
    if (stat->threads <= 1 || !use_living_thread()) return gone(pid_);
    HeldFd once;
    std::array<char, 2048> buffer;
    auto const text = read_again(thread_.get(), "stat", once, buffer);
    auto const living = text ? parse_stat(*text) : std::nullopt;
    if (!living) return gone(pid_);
    stat->stack_start = living->stack_start;
    stat->arg_start = living->arg_start;
  }
  auto const status = this->status();
  if (!status) return gone(pid_);
  auto const exe = executable();
  if (!exe && !executable_optional) {
    if (errno == ESRCH || errno == ENOENT) return gone(pid_);  // ENOENT: it has given up its memory, its descriptors not yet
    return Refusal{Reason::unreadable,
                   "the executable of process " + std::to_string(pid_) + ": " + std::strerror(errno)};
  }
  if (stat->stack_start == 0 && !executable_optional) {
    // Whoever may see its executable may see this: it has new memory, and what will run there is being read.
    return Refusal{Reason::holder_uncertain, "process " + std::to_string(pid_) + " is executing another program"};
  }
  ProcessSnapshot snapshot;
  snapshot.id.tgid = pid_;
  snapshot.id.start_ticks = stat->start_ticks;
  snapshot.id.exec = {exe ? exe->id : FileId{}, std::move(stat->comm), stat->stack_start, stat->arg_start};
  static_cast<UserIds &>(snapshot) = *status;
  snapshot.tracer = status->tracer;
  return snapshot;
}

bool ProcDir::use_living_thread() {
  // The one in use may have ended since; a thread's directory then has no executable any more.
  if (thread_ && file_state(thread_.get(), "exe", 0)) return true;
  thread_.reset();
  descriptors_.reset();
  HeldFd const tasks(::openat(dir_.get(), "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!tasks) return false;
  visit_entries(tasks.get(), [&](char const *name) {
    HeldFd thread(::openat(tasks.get(), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!thread || !file_state(thread.get(), "exe", 0)) return true;
    thread_ = std::move(thread);
    return false;
  });
  return static_cast<bool>(thread_);
}

std::optional<std::vector<SocketPlace>> ProcDir::find_sockets(std::span<std::uint64_t const> inodes,
                                                              Deadline deadline) {
  std::vector<SocketPlace> found;
  if (!descriptors_) {
    descriptors_.reset(::openat(dir_.get(), "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  if (descriptors_ && !search_for(descriptors_.get(), "fd/", inodes, deadline, found)) return std::nullopt;
  if (found.size() < inodes.size() && !search_threads(inodes, deadline, found)) return std::nullopt;
  return found;
}

std::string ProcDir::run_so_far() {
  std::array<char, 128> buffer;
  auto const text = read_again(dir_.get(), "schedstat", schedstat_, buffer);
  // "0 0 0": this kernel does not count.
  return text && !text->starts_with("0 ") ? std::string(*text) : std::string();
}

bool ProcDir::unchanged() {
  remembered_.valid = !remembered_.run.empty() &&
                      std::chrono::steady_clock::now() - remembered_.when > kTicks &&
                      run_so_far() == remembered_.run;
  return remembered_.valid;
}

Answered<std::optional<SocketPlace>> ProcDir::find_socket(std::uint64_t inode, Deadline deadline) {
  auto const among = [inode](std::vector<SocketPlace> const &places) -> std::optional<SocketPlace> {
    auto const place =
        std::find_if(places.begin(), places.end(), [inode](auto const &p) { return p.inode == inode; });
    if (place == places.end()) return std::nullopt;
    return *place;
  };
  if (remembered_.valid) return among(remembered_.sockets);
  Refusal const late{Reason::walk_timeout, "not all descriptors could be looked at in time"};
  auto when = std::chrono::steady_clock::now();
  auto run = threads_ == 1 ? run_so_far() : std::string();
  // Read again too soon to be trusted, and still the same: it has stood since then, or questions that come
  // faster than the ticks would never see it old enough.
  if (!run.empty() && run == remembered_.run) when = remembered_.when;
  remembered_ = {};
  if (run.empty()) {
    auto const places = find_sockets({&inode, 1}, deadline);
    if (!places) return late;
    return among(*places);
  }
  if (!descriptors_) descriptors_.reset(::openat(dir_.get(), "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<SocketPlace> sockets;
  bool const in_time =
      !descriptors_ || search_table(descriptors_.get(), deadline, [&](std::uint64_t found, char const *name) {
        // More are not remembered, but the one that is sought is.
        if (sockets.size() < kRemembered || found == inode)
          sockets.push_back({found, std::string("fd/") + name});
        return true;
      });
  if (!in_time) return late;
  auto place = among(sockets);
  if (descriptors_ && sockets.size() < kRemembered)
    remembered_ = {std::move(run), when, std::move(sockets), false};
  return place;
}

bool ProcDir::search_threads(std::span<std::uint64_t const> inodes, Deadline deadline,
                             std::vector<SocketPlace> &found) {
  if (threads_ <= 1) return true;
  HeldFd const tasks(::openat(dir_.get(), "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!tasks) return true;
  bool in_time = true;
  visit_entries(tasks.get(), [&](char const *name) {
    auto const thread = static_cast<pid_t>(std::strtol(name, nullptr, 10));
    // Most threads share the leader's table; kcmp(2) tells without reading it. Where it cannot, read.
    if (thread == pid_ || ::syscall(SYS_kcmp, pid_, thread, KCMP_FILES, 0ul, 0ul) == 0) return true;
    HeldFd const table(
        ::openat(tasks.get(), (std::string(name) + "/fd").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!table) return true;
    in_time = std::chrono::steady_clock::now() <= deadline &&
              search_for(table.get(), "task/" + std::string(name) + "/fd/", inodes, deadline, found);
    return in_time && found.size() < inodes.size();
  });
  return in_time;
}

bool ProcDir::holds(SocketPlace const &place) const {
  return socket_inode(dir_.get(), place.path.c_str()) == place.inode;
}

}  // namespace imdsgate
