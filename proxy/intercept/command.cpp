#include "intercept/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "intercept/descriptor.hpp"

namespace imdsgate {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMostOutput = 64U << 20;

Error system_error(std::string const &what) {
  return Error{Errc::system, what + ": " + std::strerror(errno)};
}

struct Ends {
  Descriptor ours, theirs;
};

// A socket pair, not a pipe, so that writing to a program that has ended is an error and no SIGPIPE.
Result<Ends> socket_ends() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return system_error("socketpair");
  Ends ends{Descriptor(fds[0]), Descriptor(fds[1])};
  if (::fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0) return system_error("fcntl");
  return ends;
}

Result<Ends> pipe_ends() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return system_error("pipe2");
  Ends ends{Descriptor(fds[0]), Descriptor(fds[1])};
  if (::fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0) return system_error("fcntl");
  return ends;
}

class SpawnAttributes {
 public:
  SpawnAttributes() {
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawn_file_actions_init(&actions_);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(
        &attributes_,
        static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
  }
  SpawnAttributes(SpawnAttributes const &) = delete;
  SpawnAttributes &operator=(SpawnAttributes const &) = delete;
  ~SpawnAttributes() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  void connect(int fd, int to) { ::posix_spawn_file_actions_adddup2(&actions_, fd, to); }
  Result<pid_t> spawn(std::vector<std::string> const &argv) {
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    std::vector<char *> arguments;
    for (auto const &argument : argv) arguments.push_back(const_cast<char *>(argument.c_str()));
    arguments.push_back(nullptr);
    std::string path = "PATH=/usr/sbin:/sbin:/usr/bin:/bin", locale = "LC_ALL=C", lock;
    std::vector<char *> environment{path.data(), locale.data()};
    // The one variable of iptables' own that says where everyone on this host meets.
    if (char const *file = ::secure_getenv("XTABLES_LOCKFILE")) {
      lock = std::string("XTABLES_LOCKFILE=") + file;
      environment.push_back(lock.data());
    }
    environment.push_back(nullptr);
    pid_t pid = -1;
    int const error =
        ::posix_spawn(&pid, argv[0].c_str(), &actions_, &attributes_, arguments.data(), environment.data());
    if (error != 0) return Error{Errc::system, argv[0] + ": " + std::strerror(error)};
    return pid;
  }

 private:
  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
};

// The running child. Whatever way it is left, the child has been killed and reaped.
class Child {
 public:
  Child(pid_t pid, Descriptor pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(Child const &) = delete;
  Child &operator=(Child const &) = delete;
  ~Child() {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  int pidfd() const { return pidfd_.get(); }
  Result<int> reap() {
    int status = 0;
    pid_t reaped;
    while ((reaped = ::waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
    }
    if (reaped < 0) return system_error("waitpid");
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
  Descriptor pidfd_;
};

// Reads what is there; closes the descriptor at its end.
void drain(Descriptor &from, std::string &into) {
  std::array<char, 65536> buffer;
  while (from && into.size() <= kMostOutput) {
    auto const size = ::read(from.get(), buffer.data(), buffer.size());
    if (size > 0) {
      into.append(buffer.data(), static_cast<std::size_t>(size));
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
      from.reset();
    } else if (errno == EAGAIN) {
      return;
    }
  }
}

// Writes what fits. A program that no longer reads is not our failure: its exit code says what happened.
void feed(Descriptor &to, std::string_view &text) {
  while (to && !text.empty()) {
    auto const size = ::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (size >= 0) {
      text.remove_prefix(static_cast<std::size_t>(size));
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      break;
    }
  }
  to.reset();
}

}  // namespace

Command &Command::input(std::string text) {
  input_ = std::move(text);
  return *this;
}

Command &Command::deadline(std::chrono::milliseconds limit) {
  deadline_ = limit;
  return *this;
}

Result<CommandOutput> Command::run() const {
  auto in = socket_ends();
  auto out = pipe_ends();
  auto err = pipe_ends();
  if (!in) return in.error();
  if (!out) return out.error();
  if (!err) return err.error();
  SpawnAttributes attributes;
  attributes.connect(in->theirs.get(), STDIN_FILENO);
  attributes.connect(out->theirs.get(), STDOUT_FILENO);
  attributes.connect(err->theirs.get(), STDERR_FILENO);
  auto const pid = attributes.spawn(argv_);
  if (!pid) return pid.error();
  // The child is not reaped yet, so its pid names nobody else.
  Child child(*pid, Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0))));
  if (child.pidfd() < 0) return system_error("pidfd_open");
  for (auto *ends : {&*in, &*out, &*err}) ends->theirs.reset();

  CommandOutput output;
  std::string_view rest = input_;
  auto const until = Clock::now() + deadline_;
  for (;;) {
    feed(in->ours, rest);
    drain(out->ours, output.out);
    drain(err->ours, output.err);
    if (output.out.size() > kMostOutput || output.err.size() > kMostOutput) {
      return Error{Errc::refused, argv_[0] + " printed more than 64 MiB"};
    }
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0) {
      return Error{Errc::timeout,
                   argv_[0] + " did not end within " + std::to_string(deadline_.count()) + " ms"};
    }
    std::array<pollfd, 4> waiting{pollfd{in->ours.get(), POLLOUT, 0}, pollfd{out->ours.get(), POLLIN, 0},
                                  pollfd{err->ours.get(), POLLIN, 0}, pollfd{child.pidfd(), POLLIN, 0}};
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return system_error("poll");
    }
    if (waiting[3].revents != 0) break;
  }
  // What it wrote before it ended is in the pipes; who may still hold their other ends is not waited for.
  drain(out->ours, output.out);
  drain(err->ours, output.err);
  auto const code = child.reap();
  if (!code) return code.error();
  output.exit_code = *code;
  return output;
}

std::optional<std::string> find_program(std::string_view name) {
  for (std::string_view const folder : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"}) {
    std::string path = std::string(folder) + std::string(name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

}  // namespace imdsgate
