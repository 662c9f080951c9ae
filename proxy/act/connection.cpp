#include "act/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace imdsgate {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {
constexpr std::size_t kReadSize = 4u << 10;
constexpr std::size_t kLingerBytes = 64u << 10;
constexpr auto kWait = asio::as_tuple(asio::use_awaitable);
}  // namespace

Connection::Connection(StreamSocket socket) : socket_(std::move(socket)) {
  error_code ignored;  // a socket that cannot be made non-blocking fails at its first use
  socket_.non_blocking(true, ignored);
}

void Connection::consume(std::size_t bytes) {
  begin_ += static_cast<std::ptrdiff_t>(bytes);
  if (begin_ == end_) begin_ = end_ = 0;
}

// Room for kReadSize more bytes behind what is buffered.
char *Connection::make_space() {
  if (begin_ > 0) {
    std::copy(buffer_.begin() + begin_, buffer_.begin() + end_, buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  auto const needed = static_cast<std::size_t>(end_) + kReadSize;
  if (buffer_.size() < needed) buffer_.resize(needed);
  return buffer_.data() + end_;
}

error_code Connection::fill_now() {
  char *const space = make_space();
  error_code code;
  std::size_t const read = socket_.read_some(asio::buffer(space, kReadSize), code);
  end_ += static_cast<std::ptrdiff_t>(read);
  received_ += read;
  return code;
}

// async_read_some rather than async_wait: the latter tells epoll anew each time, and wakes once more for
// nothing.
asio::awaitable<error_code> Connection::fill() {
  char *const space = make_space();
  auto const buffer = asio::buffer(space, kReadSize);
  auto [code, read] = co_await socket_.async_read_some(buffer, kWait);
  end_ += static_cast<std::ptrdiff_t>(read);
  received_ += read;
  co_return code;
}

asio::awaitable<void> Connection::readable_within(std::chrono::microseconds at_most) {
  asio::steady_timer timer(socket_.get_executor(), at_most);
  auto const waiting = std::make_shared<bool>(true);  // shared: the handler may run when this is over
  timer.async_wait([this, waiting](error_code code) {
    error_code ignored;  // what it was waiting for is there, or the socket is closed
    if (!code && *waiting) socket_.cancel(ignored);
  });
  co_await socket_.async_wait(asio::socket_base::wait_read, kWait);
  *waiting = false;
}

asio::awaitable<error_code> Connection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    error_code code;
    bytes.remove_prefix(socket_.write_some(asio::buffer(bytes.data(), bytes.size()), code));
    if (code == asio::error::would_block) {
      auto [waited] = co_await socket_.async_wait(asio::socket_base::wait_write, kWait);
      if (waited) co_return waited;
    } else if (code) {
      co_return code;
    }
  }
  co_return error_code{};
}

bool Connection::idle_and_open() {
  if (!buffered().empty()) return false;
  char byte = 0;
  auto const got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool Connection::was_reset() {
  tcp_info info{};
  socklen_t size = sizeof info;
  // On AF_UNIX it fails: nobody takes a peer's place there.
  bool const told = ::getsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
  return told && info.tcpi_state == TCP_CLOSE;
}

void Connection::reset() {
  error_code ignored;  // already closed is closed enough
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
}

asio::awaitable<void> close_lingering(Connection &connection) {
  error_code code;
  connection.socket().shutdown(asio::socket_base::shutdown_send, code);
  std::size_t drained = connection.buffered().size();
  connection.consume(drained);
  while (!code && drained < kLingerBytes) {
    code = co_await connection.fill();
    drained += connection.buffered().size();
    connection.consume(connection.buffered().size());
  }
  connection.socket().close(code);
}

}  // namespace imdsgate
