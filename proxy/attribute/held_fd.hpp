// A file descriptor that closes itself. Everything in attribute/ holds its descriptors in one of these.
#pragma once

#include <unistd.h>

#include <utility>

namespace imdsgate {

class HeldFd {
 public:
  HeldFd() = default;
  explicit HeldFd(int fd) : fd_(fd) {}
  HeldFd(HeldFd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  HeldFd &operator=(HeldFd &&other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~HeldFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace imdsgate
