#include "intercept/netns.hpp"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstring>

#include "intercept/descriptor.hpp"

namespace imdsgate {

Result<void> enter_network_namespace(std::string const &name_or_path) {
  bool const is_path = name_or_path.find('/') != name_or_path.npos;
  if (name_or_path.empty() || name_or_path == "." || name_or_path == "..") {
    return Error{Errc::malformed, "not a network namespace: \"" + name_or_path + '"'};
  }
  std::string const path = is_path ? name_or_path : "/run/netns/" + name_or_path;
  Descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file)
    return Error{errno == ENOENT ? Errc::not_found : Errc::system, path + ": " + std::strerror(errno)};
  if (::setns(file.get(), CLONE_NEWNET) == 0) return {};
  switch (errno) {
    case EINVAL: return Error{Errc::malformed, path + " is no network namespace"};
    case EPERM: return Error{Errc::system, "CAP_SYS_ADMIN is missing: it is needed to enter " + path};
    default: return Error{Errc::system, path + ": " + std::strerror(errno)};
  }
}

}  // namespace imdsgate
