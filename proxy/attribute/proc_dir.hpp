// One process, held by its /proc directory: a descriptor of it pins the kernel's struct pid, so that what is
// read through it is about this process or fails with ESRCH, never about another that got the number.
// Workers of the prober only. May hang where the file system of an executable does; the gateway's deadline is
// for that.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "attribute/codec.hpp"
#include "attribute/held_fd.hpp"
#include "attribute/proc_parse.hpp"

namespace imdsgate {

using Deadline = std::chrono::steady_clock::time_point;

// (device, inode) as this project compares them everywhere: always from statx.
struct FileState {
  FileId id;
  std::uint64_t mount = 0;  // 0: the kernel does not say
  std::uint32_t links = 0;
  auto operator<=>(FileState const &) const = default;
};
// AT_STATX_DONT_SYNC: what is known already, without asking a file system that may not answer. errno on
// failure.
std::optional<FileState> file_state(int directory, char const *name, int flags);

constexpr std::size_t kMaxCgroupBytes = 16u << 10;  // a path for each hierarchy, of which one is looked for

// For one look only.
std::optional<ProcStat> stat_of(pid_t tgid);

// Where in its process a socket was found: "fd/7", or "task/1234/fd/7" in a table of its own.
struct SocketPlace {
  std::uint64_t inode = 0;
  std::string path;
};

class ProcDir {
 public:
  static std::optional<ProcDir> open(pid_t tgid);  // nullopt: there is no such process, or it may not be read
  // The same for who reads it at once, and learns then whether it is alive.
  static std::optional<ProcDir> open_unchecked(pid_t tgid);

  pid_t pid() const { return pid_; }
  bool alive();  // not yet reaped, and the number is still its own

  // The identity and the credentials now. process_gone, holder_uncertain in the middle of an exec, or unreadable. With `executable_optional` a process
  // whose executable may not be looked at (pid 1 of some hosts, a kernel thread) has the FileId {0, 0}.
  Answered<ProcessSnapshot> snapshot(bool executable_optional);

  std::optional<ProcStat> stat();
  std::optional<ProcStatus> status();
  // Of the process, or of a thread that lives on when the main thread has ended.
  std::optional<std::string> read(char const *name, std::size_t limit);
  std::optional<std::string> link(char const *name);
  HeldFd open_at(char const *name, int flags) const;
  std::optional<FileState> executable();    // errno on failure
  std::optional<FileState> user_namespace();
  pid_t parent() const { return parent_; }  // as of the last stat() or snapshot()

  // The effective user of the directory; cheaper than status().
  std::optional<uid_t> effective_uid() const;

  // Where the process holds `inodes`, one place for each that it holds; a thread's own descriptor table too,
  // with the number of threads as of the last alive(). nullopt: the deadline passed.
  std::optional<std::vector<SocketPlace>> find_sockets(std::span<std::uint64_t const> inodes,
                                                       Deadline deadline);
  // Where it holds the one socket. Everything it holds is remembered, and not read again while unchanged().
  Answered<std::optional<SocketPlace>> find_socket(std::uint64_t inode, Deadline deadline);
  // It has certainly not run since find_socket() read its descriptors, and is alive: then it cannot have got
  // another one, because descriptors are installed by the process that receives them. For a process with one
  // thread only. One that shares its table with another process may have got one by that; it cannot use it
  // before it runs.
  bool unchanged();
  // Is the socket still (or again) there?
  bool holds(SocketPlace const &place) const;

 private:
  ProcDir(pid_t pid, HeldFd dir) : pid_(pid), dir_(std::move(dir)) {}
  int view() const { return thread_ ? thread_.get() : dir_.get(); }
  bool use_living_thread();
  std::string run_so_far();
  bool search_threads(std::span<std::uint64_t const> inodes, Deadline deadline,
                      std::vector<SocketPlace> &found);

  pid_t pid_;
  pid_t parent_ = 0;
  unsigned long threads_ = 0;
  HeldFd dir_;
  HeldFd thread_;  // task/TID, when the leader is a zombie
  HeldFd stat_, status_, schedstat_, descriptors_;
  struct Remembered {
    std::string run;  // schedstat before the sockets were read; empty: nothing is remembered
    std::chrono::steady_clock::time_point when;
    std::vector<SocketPlace> sockets;
    bool valid = false;  // by the last unchanged()
  } remembered_;
};

}  // namespace imdsgate
