#include "attribute/prober.hpp"

#include <fcntl.h>
#include <poll.h>
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
#include <utility>
#include <vector>

#include "attribute/descriptors.hpp"
#include "attribute/exec_tracker.hpp"
#include "attribute/prober_worker.hpp"

namespace imdsgate {
namespace {

constexpr std::size_t kMaxAlive = 64;  // those that hang in the kernel included
constexpr std::array<cap_value_t, 2> kKept{CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};

struct FreeCap {
  void operator()(cap_t caps) const { ::cap_free(caps); }
};
using CapPtr = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCap>;

std::vector<cap_value_t> kept_of_permitted() {
  std::vector<cap_value_t> kept;
  CapPtr const now(::cap_get_proc());
  for (auto const cap : kKept) {
    cap_flag_value_t value = CAP_CLEAR;
    if (now && ::cap_get_flag(now.get(), cap, CAP_PERMITTED, &value) == 0 && value == CAP_SET)
      kept.push_back(cap);
  }
  return kept;
}

bool drop_privileges() {
  auto const kept = kept_of_permitted();
  auto const count = static_cast<int>(kept.size());
  for (cap_value_t cap = 0; cap < ::cap_max_bits(); ++cap) {
    // Without CAP_SETPCAP the bounding set stays; no_new_privs below makes that harmless.
    if (std::find(kKept.begin(), kKept.end(), cap) == kKept.end()) (void)::cap_drop_bound(cap);
  }
  (void)::cap_reset_ambient();  // fails on kernels without ambient capabilities only
  CapPtr const caps(::cap_init());
  return caps && ::cap_set_flag(caps.get(), CAP_PERMITTED, count, kept.data(), CAP_SET) == 0 &&
         ::cap_set_flag(caps.get(), CAP_EFFECTIVE, count, kept.data(), CAP_SET) == 0 &&
         ::cap_set_proc(caps.get()) == 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

// In a child of `parent`: die with it. False: it is dead already.
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

class Keeper {
 public:
  explicit Keeper(int control) : control_(control) {}
  ~Keeper() {
    for (auto const &worker : workers_) kill_by(worker.pidfd);
  }

  int run() {
    for (;;) {
      std::vector<pollfd> polls{{control_.get(), POLLIN, 0}};
      for (auto const &worker : workers_) polls.push_back({worker.pidfd.get(), POLLIN, 0});
      if (::poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) return 1;
      std::erase_if(workers_, [](auto const &worker) { return reaped(worker); });
      if (polls.front().revents != 0 && !serve()) return 0;
    }
  }

 private:
  struct Worker {
    pid_t pid;
    HeldFd pidfd;
  };

  static bool reaped(Worker const &worker) {
    siginfo_t info{};
    return ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(worker.pidfd.get()), &info,
                    WEXITED | WNOHANG) == 0 &&
           info.si_pid != 0;
  }

  // One request. False: the gateway is gone.
  bool serve() {
    KeeperRequest request;
    std::array<HeldFd, kTrackerFds> fds;
    auto const size = receive_with_descriptors(control_.get(), &request, sizeof request, fds);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size != sizeof request) return false;
    switch (request.what) {
      case KeeperRequest::What::new_worker:
        return answer_forked([](HeldFd socket) { return run_worker(std::move(socket)); });
      case KeeperRequest::What::new_tracker: {
        TrackerFds given{std::move(fds[0]), std::move(fds[1]), std::move(fds[2]), std::move(fds[3])};
        if (!given.source) return false;
        return answer_forked([&given](HeldFd socket) {
          return run_tracker(std::move(socket), std::move(given));
        });
      }
      case KeeperRequest::What::kill:
        for (auto const &worker : workers_) {
          if (worker.pid == request.worker) kill_by(worker.pidfd);
        }
        return true;
    }
    return false;
  }

  template <class Body>
  bool answer_forked(Body const &body) {
    HeldFd theirs;
    auto const worker = fork_worker(theirs, body);
    KeeperAnswer answer;
    if (!worker) {
      answer.error = errno;
      return ::send(control_.get(), &answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer;
    }
    answer.worker = worker->pid;
    std::array const fds{theirs.get(), worker->pidfd.get()};
    return send_with_descriptors(control_.get(), &answer, sizeof answer, fds);
  }

  // nullptr with errno: it could not be forked.
  template <class Body>
  Worker const *fork_worker(HeldFd &theirs, Body const &body) {
    if (workers_.size() >= kMaxAlive) {
      errno = EAGAIN;
      return nullptr;
    }
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return nullptr;
    theirs.reset(pair[0]);
    HeldFd ours(pair[1]);
    auto const keeper = ::getpid();
    auto const pid = ::fork();
    if (pid < 0) return nullptr;
    if (pid == 0) {
      control_.reset();
      theirs.reset();
      workers_.clear();
      ::_exit(die_with(keeper) ? body(std::move(ours)) : 1);
    }
    HeldFd pidfd(open_pidfd(pid));
    if (!pidfd) {
      auto const error = errno;
      (void)::kill(pid, SIGKILL);  // ours and not reaped, so the number is still its own
      (void)::waitpid(pid, nullptr, 0);
      errno = error;
      return nullptr;
    }
    workers_.push_back({pid, std::move(pidfd)});
    return &workers_.back();
  }

  HeldFd control_;
  std::vector<Worker> workers_;
};

void make_ambient() {
  auto const kept = kept_of_permitted();
  CapPtr const caps(::cap_get_proc());
  if (!caps || kept.empty()) return;
  auto const count = static_cast<int>(kept.size());
  if (::cap_set_flag(caps.get(), CAP_INHERITABLE, count, kept.data(), CAP_SET) != 0 ||
      ::cap_set_proc(caps.get()) != 0) {
    return;  // the prober then answers `unreadable`, and the gateway says so
  }
  for (auto const cap : kept) (void)::cap_set_ambient(cap, CAP_SET);
}

// Leaves the three standard descriptors and `control`, as 3.
bool keep_only(int control) {
  return (control == 3 || ::dup2(control, 3) == 3) && ::fcntl(3, F_SETFD, 0) == 0 &&
         ::close_range(4, ~0u, 0) == 0;
}

[[noreturn]] void exec_prober(int control) {
  make_ambient();
  if (!keep_only(control)) ::_exit(126);
  char name[] = "imdsgate", subcommand[] = "prober";
  char *const arguments[] = {name, subcommand, nullptr};
  char *const environment[] = {nullptr};  // nothing of ours configures it, LD_PRELOAD least of all
  ::execve("/proc/self/exe", arguments, environment);
  ::_exit(127);
}

template <class Child>
Result<ProberProcess> start(Child child) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return Error{Errc::system, std::string("socketpair: ") + std::strerror(errno)};
  }
  ProberProcess process;
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

int run_prober(int control_fd) {
  // exec does not change what to die with, but whoever starts us by hand has not set it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::fcntl(control_fd, F_SETFD, FD_CLOEXEC) != 0)
    return 1;
  if (!drop_privileges()) return 1;
  // A service manager or a terminal signals the whole group; the gateway still drains then, and asks. We end
  // when it does.
  for (int const signal : {SIGTERM, SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
  return Keeper(control_fd).run();
}

ProberProcess &ProberProcess::operator=(ProberProcess &&other) noexcept {
  std::swap(control, other.control);  // what was held here ends with `other`
  std::swap(pidfd, other.pidfd);
  std::swap(pid, other.pid);
  return *this;
}

ProberProcess::~ProberProcess() {
  control.reset();
  if (!pidfd) return;
  kill_by(pidfd);
  // It never sleeps in the kernel for others, so this is as long as a process takes to end.
  siginfo_t info{};
  (void)::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info, WEXITED);
}

Result<ProberProcess> spawn_prober() {
  if (kept_of_permitted().size() != kKept.size()) {
    // One without them could read nobody, and would say so of each client instead of once.
    return Error{Errc::refused, "the prober needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"};
  }
  return start([](int control) { exec_prober(control); });
}

Result<ProberProcess> fork_prober() {
  return start([](int control) { ::_exit(keep_only(control) ? run_prober(3) : 126); });
}

}  // namespace imdsgate
