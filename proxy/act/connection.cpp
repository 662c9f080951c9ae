#include "act/connection.hpp"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace imdsgate {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {
constexpr std::size_t kReadSize = 16u << 10;
constexpr std::size_t kLingerBytes = 64u << 10;
constexpr auto kWait = asio::as_tuple(asio::use_awaitable);
}  // namespace

Connection::Connection(StreamSocket socket) : socket_(std::move(socket)) {
  error_code ignored;  // a socket that cannot be made non-blocking fails at its first use
  socket_.non_blocking(true, ignored);
}

void Connection::consume(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = 0;
  }
}

error_code Connection::fill_now() {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  std::size_t const before = buffer_.size();
  buffer_.resize(before + kReadSize);
  error_code code;
  std::size_t const read = socket_.read_some(asio::buffer(buffer_.data() + before, kReadSize), code);
  buffer_.resize(before + read);
  return code;
}

asio::awaitable<error_code> Connection::fill() {
  for (;;) {
    error_code code = fill_now();
    if (code != asio::error::would_block) co_return code;
    auto [waited] = co_await socket_.async_wait(asio::socket_base::wait_read, kWait);
    if (waited) co_return waited;
  }
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
