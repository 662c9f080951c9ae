#include "attribute/prober.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "attribute/descriptors.hpp"
#include "attribute/exec_tracker.hpp"
#include "attribute/prober_worker.hpp"

namespace imdsgate {
namespace {

constexpr std::size_t kMaxAlive = 64;  // those that hang in the kernel included
constexpr std::array<int, 2> kKept{CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};

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

}  // namespace

int run_prober(int control_fd) {
  if (!follow_maker(control_fd) || !drop_privileges(kKept)) return 1;
  return Keeper(control_fd).run();
}

Result<HelperProcess> spawn_prober() {
  if (!has_capabilities(kKept)) {
    // One without them could read nobody, and would say so of each client instead of once.
    return Error{Errc::refused, "the prober needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"};
  }
  return spawn_helper("prober", kKept);
}

Result<HelperProcess> fork_prober() { return fork_helper(run_prober); }

}  // namespace imdsgate
