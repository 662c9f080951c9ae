#include "intercept/rehearsal.hpp"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "intercept/descriptor.hpp"

namespace imdsgate {
namespace {

Error system_error(char const *what) {
  return {Errc::system, std::string(what) + ": " + std::strerror(errno)};
}

// ::1 is there only then.
Result<void> loopback_up() {
  Descriptor const socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (!socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return system_error("lo");
  return {};
}

Result<void> in_new_namespace(FirewallSpec const &spec, std::vector<std::string> &notes) {
  if (::unshare(CLONE_NEWNET) != 0) return system_error("a network namespace to try it in");
  if (auto up = loopback_up(); !up) return up;
  return apply_firewall(spec, notes);
}

// The outcome as text: the error, empty if there is none, then the notes, each ended by a NUL.
std::string outcome_of(FirewallSpec const &spec) {
  std::vector<std::string> notes;
  auto const applied = in_new_namespace(spec, notes);
  std::string text = applied ? "" : applied.error().detail;
  text += '\0';
  for (auto const &note : notes) text.append(note).append(1, '\0');
  return text;
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    auto const got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace

Result<void> rehearse_firewall(FirewallSpec spec, std::vector<std::string> &notes) {
  spec.redirect = spec.fence = true;
  spec.draining = false;
  spec.interfaces.clear();  // they are the host's
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("pipe");
  Descriptor const from(ends[0]);
  Descriptor to(ends[1]);
  pid_t const child = ::fork();
  if (child < 0) return system_error("fork");
  if (child == 0) {
    auto const text = outcome_of(spec);
    bool const told = ::write(to.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(told ? 0 : 1);
  }
  to.reset();
  std::string text = read_all(from.get());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  auto end = text.find('\0');
  if (end == text.npos) return Error{Errc::system, "the process that tried it ended early"};
  auto const error = text.substr(0, end);
  for (text.erase(0, end + 1); (end = text.find('\0')) != text.npos; text.erase(0, end + 1)) {
    notes.push_back(text.substr(0, end));
  }
  if (!error.empty()) return Error{Errc::system, error};
  return {};
}

}  // namespace imdsgate
