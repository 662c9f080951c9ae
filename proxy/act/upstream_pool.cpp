#include "act/upstream_pool.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <optional>

#include "act/watchdog.hpp"
#include "model/sockaddr.hpp"

namespace imdsgate {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

// As many as a burst needed are kept: to close those beyond a smaller number and dial them again at once costs both ends
// more than a connection that idles for half a minute.
constexpr std::size_t kIdlePerEndpoint = 256;
constexpr auto kIdleFor = std::chrono::seconds(30);

ConnectFailure connect_failure(int error) {
  std::string const text = std::strerror(error);
  if (error == ECONNREFUSED) return {Reason::upstream_refused, text};
  if (error == ETIMEDOUT) return {Reason::upstream_connect_timeout, text};
  return {Reason::upstream_unreachable, text};
}

}  // namespace

UpstreamPool::UpstreamPool(asio::any_io_executor executor, UpstreamOptions options)
    : executor_(std::move(executor)), options_(options) {}

UpstreamPool::Upstream::Upstream(UpstreamPool &pool, StreamSocket socket, Endpoint local, Endpoint remote_end)
    : Connection(std::move(socket)), remote(remote_end), pool_(pool), local_(local) {
  pool_.ends_.insert({local_, remote});
}

UpstreamPool::Upstream::~Upstream() { pool_.ends_.erase(pool_.ends_.find({local_, remote})); }

UpstreamPool::Lease UpstreamPool::take_idle(Endpoint const &remote) {
  drop_stale();
  auto const found = idle_.find(remote);
  if (found == idle_.end()) return nullptr;
  auto &idle = found->second;
  while (!idle.empty()) {
    Lease lease = std::move(idle.back());
    idle.pop_back();
    if (lease->idle_and_open()) return lease;
  }
  return nullptr;
}

void UpstreamPool::give_back(Lease lease) {
  drop_stale();
  auto &idle = idle_[lease->remote];
  if (idle.size() >= kIdlePerEndpoint || !lease->buffered().empty()) return;
  lease->idle_since = std::chrono::steady_clock::now();
  idle.push_back(std::move(lease));
}

void UpstreamPool::drop_stale() {
  auto const before = std::chrono::steady_clock::now() - kIdleFor;
  for (auto &[remote, idle] : idle_) {
    while (!idle.empty() && idle.front()->idle_since < before) idle.pop_front();
  }
}

// A socket on its way. connect(2) is called here rather than by Asio: the local port must be known to owns() before the
// loop runs again, because a connection that comes back to us is accepted in the very next turn.
boost::system::result<int, ConnectFailure> UpstreamPool::dial(Endpoint const &remote) const {
  sockaddr_storage storage;
  socklen_t const length = to_sockaddr(remote, storage);
  int const fd = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (fd < 0) return ConnectFailure{Reason::upstream_unreachable, std::string("socket: ") + std::strerror(errno)};
  std::optional<ConnectFailure> failed;
  if (::setsockopt(fd, SOL_SOCKET, SO_MARK, &options_.mark, sizeof options_.mark) != 0) {
    failed = {Reason::upstream_unreachable, std::string("SO_MARK: ") + std::strerror(errno)};
  } else if (::connect(fd, reinterpret_cast<sockaddr const *>(&storage), length) != 0 && errno != EINPROGRESS) {
    failed = connect_failure(errno);
  }
  if (!failed) return fd;
  ::close(fd);
  return *failed;
}

boost::system::result<UpstreamPool::Lease, ConnectFailure> UpstreamPool::adopt(int fd, Endpoint const &remote) {
  int const on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // a hint: slower without it, never wrong
  StreamSocket socket(executor_);
  error_code code;
  socket.assign(asio::generic::stream_protocol(remote.address.is_v4() ? AF_INET : AF_INET6, IPPROTO_TCP), fd, code);
  if (code) {
    ::close(fd);
    return ConnectFailure{Reason::upstream_unreachable, "socket: " + code.message()};
  }
  socket.non_blocking(true, code);
  sockaddr_storage local{};
  socklen_t local_length = sizeof local;
  ::getsockname(fd, reinterpret_cast<sockaddr *>(&local), &local_length);
  return std::make_unique<Upstream>(*this, std::move(socket), from_sockaddr(local), remote);
}

asio::awaitable<boost::system::result<UpstreamPool::Lease, ConnectFailure>> UpstreamPool::connect(Endpoint remote,
                                                                                                  bool as_root) {
  boost::system::result<int, ConnectFailure> dialled = ConnectFailure{Reason::upstream_unreachable, "no dialler of uid 0"};
  if (!as_root) {
    dialled = dial(remote);
  } else if (dial_as_root_) {
    dialled = co_await dial_as_root_(remote, options_.mark);
  }
  if (!dialled) co_return dialled.error();
  auto adopted = adopt(*dialled, remote);
  if (!adopted) co_return adopted.error();
  auto lease = *std::move(adopted);

  Watchdog deadline(executor_, [upstream = lease.get()] {
    error_code ignored;
    upstream->socket().cancel(ignored);
  });
  deadline.expires_after(options_.connect_timeout);
  auto [waited] = co_await lease->socket().async_wait(asio::socket_base::wait_write,
                                                      asio::as_tuple(asio::use_awaitable));
  if (deadline.expired()) co_return ConnectFailure{Reason::upstream_connect_timeout, "no answer to the SYN"};
  if (waited) co_return ConnectFailure{Reason::upstream_unreachable, waited.message()};
  int error = 0;
  socklen_t error_length = sizeof error;
  ::getsockopt(lease->socket().native_handle(), SOL_SOCKET, SO_ERROR, &error, &error_length);
  if (error != 0) co_return connect_failure(error);
  co_return lease;
}

}  // namespace imdsgate
