#include "gateway/instance_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace imdsgate {

Result<InstanceLock> InstanceLock::take(std::string const &control_socket) {
  std::string const path = control_socket + ".lock";
  std::error_code ignored;  // the open below says what is wrong
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  int const fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return Error{Errc::system, path + ": " + std::strerror(errno)};
  InstanceLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char pid[16] = {};
    if (::pread(fd, pid, sizeof pid - 1, 0) <= 0) std::strcpy(pid, "unknown\n");
    return Error{Errc::refused, "another imdsgate runs here (pid " + std::string(pid, std::strcspn(pid, "\n")) + ", " +
                                    path + "); nothing was touched"};
  }
  std::string const pid = std::to_string(::getpid()) + '\n';
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    return Error{Errc::system, path + ": " + std::strerror(errno)};
  }
  return lock;
}

InstanceLock::InstanceLock(InstanceLock &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

InstanceLock::~InstanceLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace imdsgate
