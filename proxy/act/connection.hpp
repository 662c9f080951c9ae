// A stream socket, TCP or UNIX, with what was read from it and not yet used. Used on the loop only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace imdsgate {

using StreamSocket = boost::asio::generic::stream_protocol::socket;

class Connection {
 public:
  explicit Connection(StreamSocket socket);

  StreamSocket &socket() { return socket_; }

  std::string_view buffered() const {
    return {buffer_.data() + begin_, static_cast<std::size_t>(end_ - begin_)};
  }
  void consume(std::size_t bytes);
  std::uint64_t received() const { return received_; }  // bytes that fill() and fill_now() read, ever

  // Reads at least one byte into the buffer, or answers why not; the end of the stream is asio::error::eof.
  boost::asio::awaitable<boost::system::error_code> fill();
  boost::asio::awaitable<void> readable_within(std::chrono::microseconds at_most);
  boost::system::error_code fill_now();  // the same without waiting: would_block when nothing is there

  boost::asio::awaitable<boost::system::error_code> write(std::string_view bytes);

  // True when the peer has sent nothing and has not closed: an idle connection that may be used again.
  bool idle_and_open();

  // The peer has reset the connection, or the kernel has given it up: its addresses may be another connection's by now.
  bool was_reset();

  void reset();  // closes with a RST, so that a cut-off answer cannot be taken for a whole one

 private:
  char *make_space();
  StreamSocket socket_;
  std::string buffer_;  // storage; what is buffered is [begin_, end_)
  std::ptrdiff_t begin_ = 0, end_ = 0;
  std::uint64_t received_ = 0;
};

// Says that no more is coming, and waits (bounded in time by the caller's deadline and in bytes here) for the
// client's close: closing with unread bytes would send a RST that can overtake the answer.
boost::asio::awaitable<void> close_lingering(Connection &connection);

}  // namespace imdsgate
