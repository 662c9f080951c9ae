// Who is asking. What the kernel vouches for and what a process merely says of itself are different fields
// (design §4).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace imdsgate {

struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  auto operator<=>(FileId const &) const = default;
};

// Stands in for the exec sequence while no kernel exec event is at hand: what an execve(2) changes and the
// process cannot easily change back. stack_start and arg_start are fields 28 and 48 of /proc/PID/stat,
// randomised at each exec.
struct ExecKey {
  FileId executable;
  std::string comm;
  std::uint64_t stack_start = 0;
  std::uint64_t arg_start = 0;
  auto operator<=>(ExecKey const &) const = default;
};

// (tgid, start time, exec): with the boot id, the whole identity of design §4. start_ticks is field 22 of
// /proc/PID/stat.
struct ProcessId {
  pid_t tgid = 0;
  std::uint64_t start_ticks = 0;
  ExecKey exec;
  auto operator<=>(ProcessId const &) const = default;
};

// Why the path of an executable is not proven.
enum class Unproven {
  exe_replaced,     // deleted or replaced on disk: "(deleted)"
  other_file,       // the same path, seen from the daemon's root, is another file or none
  other_namespace,  // its mount is not one of the daemon's, so the path names something else here; or it is in another user
                    // namespace, where a process may have any file for its executable
  traced,           // TracerPid is not 0
  exe_changed,      // it is another file than was exec'd (PR_SET_MM_MAP)
  unreadable,       // could not be looked at within the deadline, or not permitted
};

struct Executable {
  std::string path;  // what /proc/PID/exe reads, " (deleted)" removed: claimed
  bool deleted = false;
  std::optional<Unproven> unproven;  // nullopt: the path is proven
  // Seen from the root of its own mount namespace, which is the initial user namespace's, the path is this file: proven
  // for who names that namespace's container, and for nobody else, since the path is another file's here.
  bool proven_in_namespace = false;
  bool proven() const { return !unproven; }
};

// What the container runtime says of a container.
struct ContainerDetails {
  std::string image;  // as it was named when the container was made: "nginx:1.25"
  std::string name;
  std::optional<std::string> pod, pod_namespace;  // Kubernetes'
  auto operator<=>(ContainerDetails const &) const = default;
};

// With whose rights a process acts (credentials(7)).
struct UserIds {
  uid_t real_uid = 0, effective_uid = 0, saved_uid = 0;
  gid_t real_gid = 0, effective_gid = 0;
  auto operator<=>(UserIds const &) const = default;
};

struct Process : UserIds {
  ProcessId id;
  std::string entity_id;  // hash of boot id, tgid and start time: stable over exec
  pid_t parent_pid = 0;
  std::optional<Executable>
      executable;  // nullopt: /proc/PID/exe could not be read (a kernel thread, pid 1 of another user)
  // The path that execve(2) was given, as a kernel program recorded it: of a script its own. Empty: nobody did.
  std::string executed_as;
  std::string comm;
  std::vector<std::string> args;  // at most 64 and 8 KiB; empty: could not be read or erased
  bool args_truncated = false;
  std::optional<std::string> working_directory;
  std::optional<std::string> user_name;  // of effective_uid, from /etc/passwd only, never NSS
  std::optional<std::string> group_name;
  std::chrono::system_clock::time_point start{};
  std::string cgroup;                       // the cgroup2 path, "/system.slice/x.service"; empty: unknown
  std::optional<std::string> container_id;  // proven only when container_proven
  bool container_proven = false;
  std::shared_ptr<ContainerDetails const> container;  // of a proven container_id; nullptr: not known
  std::optional<std::string> unit;  // systemd unit of the cgroup path
  bool unit_proven = false;
  pid_t tracer_pid = 0;
  // As an exec event recorded it when it exec'd last; nullptr: nobody saw that. It can rewrite its arguments
  // and its comm afterwards, so what it went by then counts beside what is read now.
  std::shared_ptr<Process const> at_exec;
  // How many of its execs have been seen, that one included: grows with each, where entity_id stays. nullopt: nobody saw any.
  std::optional<std::uint32_t> exec_seq;

  std::optional<std::string> name()
      const;  // basename of executable->path: ECS process.name; nullopt without one
  std::optional<std::string> command_line() const;  // args joined by one space; nullopt when args is empty
};

// Whatever its executable's path was proven by, it is not any more.
void distrust(Process &process, Unproven why);

struct Ancestor {
  pid_t pid = 0;
  std::optional<std::string> name;
  std::optional<std::string> executable;
};

// Everything a process goes by (design §4): the executable's own first; distinct, none empty. As names:
// basenames of the executable, of what it was exec'd as and of argv[0], and comm; as paths: the executable's, what it
// was exec'd as, argv[0] when it is a path, and of a script its own (the executable is its interpreter).
std::vector<std::string> claimed_names(Process const &process);
std::vector<std::string> claimed_executables(Process const &process);

// A process with its parent and the chain up to pid 1. An ancestor that cannot be read is listed by pid
// alone.
struct Lineage {
  Process process;
  std::optional<Process> parent;   // nullopt: no parent, or not readable; a rule's term on it is then false
  std::vector<Ancestor> ancestry;  // parent first, pid 1 last
  // The same parent as it was when it forked the process and when the process exec'd, where exec events tell
  // and it was another program then: what excludes has to hold for all of them.
  std::vector<std::shared_ptr<Process const>> former_parents = {};
};

// Shared because the gateway's cache, a live session and an event still being written name the same process.
using LineagePtr = std::shared_ptr<Lineage const>;

// Everyone who holds the client's end of the connection, by what method it was found. At least one.
struct Attribution {
  enum class Method { sock_diag, peercred, bpf };
  Method method = Method::sock_diag;
  std::uint64_t socket_inode = 0;
  std::uint64_t socket_cookie = 0;
  uid_t socket_uid = 0;  // who created the socket; not who holds it
  std::vector<LineagePtr>
      holders;  // distinct suspects; holders that only inherited it by fork and did not exec are folded
  std::vector<pid_t> holder_pids;  // every holder, folded ones too
};

}  // namespace imdsgate
