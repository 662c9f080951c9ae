#include "intercept/original_dst.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "model/sockaddr.hpp"

namespace imdsgate {
namespace {
constexpr int kOriginalDst =
    80;  // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST; their headers clash with netinet/in.h
}

Result<Endpoint> original_destination(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_in);
  if (::getsockopt(fd, IPPROTO_IP, kOriginalDst, &storage, &length) == 0) return from_sockaddr(storage);
  length = sizeof(sockaddr_in6);
  if (::getsockopt(fd, IPPROTO_IPV6, kOriginalDst, &storage, &length) == 0) return from_sockaddr(storage);
  return Error{Errc::not_found, std::string("SO_ORIGINAL_DST: ") + std::strerror(errno)};
}

}  // namespace imdsgate
