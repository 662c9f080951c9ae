#include "attribute/helper_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace imdsgate {
namespace {

struct FreeCap {
  void operator()(cap_t caps) const { ::cap_free(caps); }
};
using CapPtr = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCap>;

std::vector<cap_value_t> permitted_of(Capabilities wanted) {
  std::vector<cap_value_t> kept;
  CapPtr const now(::cap_get_proc());
  for (auto const cap : wanted) {
    cap_flag_value_t value = CAP_CLEAR;
    if (now && ::cap_get_flag(now.get(), cap, CAP_PERMITTED, &value) == 0 && value == CAP_SET)
      kept.push_back(cap);
  }
  return kept;
}

void make_ambient(Capabilities wanted) {
  auto const kept = permitted_of(wanted);
  CapPtr const caps(::cap_get_proc());
  if (!caps || kept.empty()) return;
  auto const count = static_cast<int>(kept.size());
  if (::cap_set_flag(caps.get(), CAP_INHERITABLE, count, kept.data(), CAP_SET) != 0 ||
      ::cap_set_proc(caps.get()) != 0) {
    return;  // the helper then cannot do what it is for, and the gateway says so
  }
  for (auto const cap : kept) (void)::cap_set_ambient(cap, CAP_SET);
}

// Leaves the three standard descriptors and `control`, as 3.
bool keep_only(int control) {
  return (control == 3 || ::dup2(control, 3) == 3) && ::fcntl(3, F_SETFD, 0) == 0 &&
         ::close_range(4, ~0u, 0) == 0;
}

[[noreturn]] void exec_helper(char const *subcommand, Capabilities capabilities, int control) {
  make_ambient(capabilities);
  if (!keep_only(control)) ::_exit(126);
  char name[] = "imdsgate";
  char *const arguments[] = {name, const_cast<char *>(subcommand), nullptr};
  char *const environment[] = {nullptr};  // nothing of ours configures it, LD_PRELOAD least of all
  ::execve("/proc/self/exe", arguments, environment);
  ::_exit(127);
}

template <class Child>
Result<HelperProcess> start(Child child) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return Error{Errc::system, std::string("socketpair: ") + std::strerror(errno)};
  }
  HelperProcess process;
  process.control.reset(pair[0]);
  HeldFd theirs(pair[1]);
  auto const gateway = ::getpid();
  process.pid = ::fork();
  if (process.pid < 0) return Error{Errc::system, std::string("fork: ") + std::strerror(errno)};
  if (process.pid == 0) {
    process.control.reset();
    if (!die_with(gateway)) ::_exit(1);
    child(theirs.release());
  }
  process.pidfd.reset(open_pidfd(process.pid));
  if (!process.pidfd) return Error{Errc::system, std::string("pidfd_open: ") + std::strerror(errno)};
  return process;
}

}  // namespace

HelperProcess &HelperProcess::operator=(HelperProcess &&other) noexcept {
  std::swap(control, other.control);  // what was held here ends with `other`
  std::swap(pidfd, other.pidfd);
  std::swap(pid, other.pid);
  return *this;
}

HelperProcess::~HelperProcess() {
  control.reset();
  if (!pidfd) return;
  kill_by(pidfd);  // one of another user ends because its control socket was closed
  // It never sleeps in the kernel for others, so this is as long as a process takes to end.
  siginfo_t info{};
  (void)::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info, WEXITED);
}

bool has_capabilities(Capabilities wanted) { return permitted_of(wanted).size() == wanted.size(); }

Result<HelperProcess> spawn_helper(char const *subcommand, Capabilities capabilities) {
  return start([=](int control) { exec_helper(subcommand, capabilities, control); });
}

Result<HelperProcess> fork_helper(int (*body)(int control_fd)) {
  return start([=](int control) { ::_exit(keep_only(control) ? body(3) : 126); });
}

bool drop_privileges(Capabilities wanted) {
  auto const kept = permitted_of(wanted);
  auto const count = static_cast<int>(kept.size());
  for (cap_value_t cap = 0; cap < ::cap_max_bits(); ++cap) {
    // Without CAP_SETPCAP the bounding set stays; no_new_privs below makes that harmless.
    if (std::find(wanted.begin(), wanted.end(), cap) == wanted.end()) (void)::cap_drop_bound(cap);
  }
  (void)::cap_reset_ambient();  // fails on kernels without ambient capabilities only
  CapPtr const caps(::cap_init());
  return caps && ::cap_set_flag(caps.get(), CAP_PERMITTED, count, kept.data(), CAP_SET) == 0 &&
         ::cap_set_flag(caps.get(), CAP_EFFECTIVE, count, kept.data(), CAP_SET) == 0 &&
         ::cap_set_proc(caps.get()) == 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

bool follow_maker(int control_fd) {
  // exec does not change what to die with, but whoever starts us by hand has not set it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::fcntl(control_fd, F_SETFD, FD_CLOEXEC) != 0)
    return false;
  for (int const signal : {SIGTERM, SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
  return true;
}

bool die_with(pid_t parent) {
  return ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && ::getppid() == parent;
}

int open_pidfd(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

void kill_by(HeldFd const &pidfd) {
  // ESRCH: it has ended, which is what was wanted.
  if (pidfd) (void)::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
}

}  // namespace imdsgate
