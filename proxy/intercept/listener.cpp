#include "intercept/listener.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "intercept/descriptor.hpp"
#include "model/sockaddr.hpp"

namespace imdsgate {

namespace asio = boost::asio;

namespace {

constexpr int kBacklog = 4096;
constexpr auto kOutOfDescriptors =
    std::chrono::milliseconds(20);  // the kernel has no event for "one is free again"

Error failed(std::string const &what, int error) {
  std::string detail = what + ": " + std::strerror(error);
  if (error == EACCES) detail += " (a port below ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE)";
  return {Errc::system, std::move(detail)};
}

bool somebody_listens(sockaddr_un const &address) {
  Descriptor const probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  return ::connect(probe.get(), reinterpret_cast<sockaddr const *>(&address), sizeof address) == 0 ||
         errno == EAGAIN;
}

}  // namespace

Listener::Listener(Executor executor, int fd, Transport transport, Endpoint local)
    : descriptor_(std::move(executor), fd), transport_(transport), family_(AF_UNIX), local_(local) {
  if (transport == Transport::unix_socket) return;
  family_ = local.address.is_v4() ? AF_INET : AF_INET6;
  int const on = 1;
  // A hint; every connection has it from its listener (tcp(7) of Linux does not say so, tcp_create_openreq_child copies).
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Result<std::unique_ptr<Listener>> Listener::open_tcp(Executor executor, Endpoint const &endpoint) {
  std::string const what = "listening on " + endpoint.to_string();
  sockaddr_storage storage;
  socklen_t const length = to_sockaddr(endpoint, storage);
  Descriptor fd{::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP)};
  if (fd.get() < 0) return failed(what, errno);
  int const on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on,
               sizeof on);  // TIME_WAIT of an earlier run; never SO_REUSEPORT
  if (storage.ss_family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<sockaddr *>(&storage), length) != 0) return failed(what, errno);
  if (::listen(fd.get(), kBacklog) != 0) return failed(what, errno);
  return std::unique_ptr<Listener>(new Listener(std::move(executor), fd.release(), Transport::tcp, endpoint));
}

Result<std::unique_ptr<Listener>> Listener::open_unix(Executor executor, std::string const &path) {
  std::string const what = "listening on " + path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return failed(what, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat existing {};
  if (::lstat(path.c_str(), &existing) == 0) {
    if (!S_ISSOCK(existing.st_mode))
      return Error{Errc::refused, what + ": there is a file that is not a socket"};
    if (somebody_listens(address)) return failed(what, EADDRINUSE);
    ::unlink(path.c_str());
  }
  Descriptor fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (fd.get() < 0) return failed(what, errno);
  if (::bind(fd.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) != 0)
    return failed(what, errno);
  if (::chmod(path.c_str(), 0666) != 0) return failed(what, errno);
  if (::listen(fd.get(), kBacklog) != 0) return failed(what, errno);
  return std::unique_ptr<Listener>(
      new Listener(std::move(executor), fd.release(), Transport::unix_socket, {}));
}

Result<std::unique_ptr<Listener>> Listener::adopt(Executor executor, int raw) {
  Descriptor fd{raw};
  int listening = 0;
  socklen_t size = sizeof listening;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0) {
    return Error{Errc::refused, "an inherited descriptor is not a listening socket"};
  }
  // systemd leaves it blocking, and a blocking accept() would stop the loop.
  if (::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK) != 0)
    return failed("O_NONBLOCK", errno);
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr *>(&storage), &length) != 0)
    return failed("getsockname", errno);
  auto const transport = storage.ss_family == AF_UNIX ? Transport::unix_socket : Transport::tcp;
  auto const local = from_sockaddr(storage);
  if (transport == Transport::tcp && !local.address.is_loopback()) {
    return Error{Errc::refused, "an inherited listener on " + local.to_string() + " is not on loopback"};
  }
  return std::unique_ptr<Listener>(new Listener(std::move(executor), fd.release(), transport, local));
}

Result<Listener::Accepted> Listener::accept_now(int &error) {
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  int const fd = ::accept4(descriptor_.native_handle(), reinterpret_cast<sockaddr *>(&peer), &length,
                           SOCK_CLOEXEC | SOCK_NONBLOCK);
  error = fd < 0 ? errno : 0;
  if (fd < 0) return failed("accept", error);
  Accepted accepted{Socket(descriptor_.get_executor()), {}};
  accepted.flow.transport = transport_;
  accepted.flow.accepted = std::chrono::system_clock::now();
  accepted.flow.accepted_steady = std::chrono::steady_clock::now();
  boost::system::error_code code;
  int const protocol = transport_ == Transport::tcp ? IPPROTO_TCP : 0;
  accepted.socket.assign(asio::generic::stream_protocol(family_, protocol), fd, code);
  if (code) {
    ::close(fd);
    error = code.value();
    return failed("epoll", error);
  }
  if (transport_ == Transport::tcp) {
    accepted.flow.client = from_sockaddr(peer);
    accepted.flow.local = local_;
  } else {
    accepted.flow.unix_fd = fd;
  }
  return accepted;
}

asio::awaitable<Result<Listener::Accepted>> Listener::accept() {
  for (;;) {
    int error = 0;
    auto accepted = accept_now(error);
    if (accepted) co_return std::move(accepted.value());
    switch (error) {
      case EINTR:
      case ECONNABORTED:
      case EPROTO: continue;
      case EAGAIN: {
        auto [code] = co_await descriptor_.async_wait(asio::posix::descriptor_base::wait_read,
                                                      asio::as_tuple(asio::use_awaitable));
        if (code) co_return Error{Errc::refused, "the listener is closed"};
        continue;
      }
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM: {
        asio::steady_timer timer(descriptor_.get_executor(), kOutOfDescriptors);
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        continue;
      }
      default: co_return accepted.error();
    }
  }
}

void Listener::close() {
  boost::system::error_code ignored;  // closed already
  descriptor_.close(ignored);
}

}  // namespace imdsgate
