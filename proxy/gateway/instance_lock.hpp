// At most one daemon a control socket: flock(2) on a file beside it, held until the process ends, however it ends.
#pragma once

#include <memory>
#include <string>

#include "model/result.hpp"

namespace imdsgate {

class InstanceLock {
 public:
  // refused: another process holds it; its pid is in the detail.
  static Result<InstanceLock> take(std::string const &control_socket);
  InstanceLock(InstanceLock &&other) noexcept;
  InstanceLock &operator=(InstanceLock &&) = delete;
  ~InstanceLock();

 private:
  explicit InstanceLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace imdsgate
