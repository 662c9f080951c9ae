// A body run in a forked child with network and mount namespaces of its own: nothing it does to the firewall,
// to addresses or to /run is seen outside, and all of it is gone when the child ends.
#pragma once

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "intercept/command.hpp"

namespace imdsgate::test {

// What `argv` prints; a failure of the test when it fails.
inline std::string run(std::vector<std::string> argv, std::string input = {}) {
  auto const program = find_program(argv[0]);
  if (!program) {
    ADD_FAILURE() << argv[0] << " is not installed";
    return {};
  }
  std::string line;
  for (auto const &word : argv) line += word + ' ';
  argv[0] = *program;
  auto const output = Command(std::move(argv)).input(std::move(input)).run();
  if (!output) {
    ADD_FAILURE() << line << ": " << output.error().detail;
    return {};
  }
  EXPECT_EQ(output->exit_code, 0) << line << ": " << output->err;
  return output->out;
}

// The words of a line without quotes in it.
inline std::string sh(std::string const &line, std::string input = {}) {
  std::vector<std::string> argv;
  std::size_t at = 0;
  while (at < line.size()) {
    auto const end = std::min(line.find(' ', at), line.size());
    if (end > at) argv.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return run(std::move(argv), std::move(input));
}

inline bool loopback_up() {
  int const fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  bool ok = ::ioctl(fd, SIOCGIFFLAGS, &request) == 0;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  ok = ok && ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  ::close(fd);
  return ok;
}

// Exit codes of the child.
inline constexpr int kPassed = 0, kFailed = 1, kNotPermitted = 77;

// Nullopt: ran, and what failed was reported by the child itself. Else why it could not be run.
inline std::optional<std::string> in_network_namespace(std::function<void()> const &body) {
  std::fflush(nullptr);
  pid_t const pid = ::fork();
  if (pid == 0) {
    bool const ready = ::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
                       ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                       ::mount("tmpfs", "/run", "tmpfs", 0, nullptr) == 0 && loopback_up();
    if (!ready) ::_exit(kNotPermitted);
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? kFailed : kPassed);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotPermitted) return "no namespaces here: root is needed";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kPassed)
      << "the namespace's process: status " << status;
  return std::nullopt;
}

}  // namespace imdsgate::test

// The body of a TEST that needs a network namespace.
#define IN_NETWORK_NAMESPACE(...)                                                      \
  if (auto const reason = imdsgate::test::in_network_namespace(__VA_ARGS__); reason) { \
    GTEST_SKIP() << *reason;                                                           \
  }
