// Datagrams of an AF_UNIX socket that carry descriptors (SCM_RIGHTS).
#pragma once

#include <sys/types.h>

#include <span>

#include "attribute/held_fd.hpp"

namespace imdsgate {

constexpr std::size_t kMaxDescriptors = 8;  // in one message

// Without waiting. False with errno: not sent.
bool send_with_descriptors(int socket, void const *bytes, std::size_t size, std::span<int const> fds);

// One datagram, without waiting: its length, or -1 with errno. The descriptors that come with it fill `fds`
// from its beginning; if they are more than it has, all are closed and it stays empty.
ssize_t receive_with_descriptors(int socket, void *bytes, std::size_t size, std::span<HeldFd> fds);

}  // namespace imdsgate
