// The other ends of the proxy's connections: plain blocking sockets, each call bounded by kPatience, so that
// a test that waits for what never comes fails instead of hanging.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "model/address.hpp"
#include "model/sockaddr.hpp"

namespace imdsgate::test {

inline constexpr int kPatienceSeconds = 10;

class Peer {
 public:
  explicit Peer(int fd = -1) : fd_(fd) {
    timeval const patience{kPatienceSeconds, 0};
    if (fd_ < 0) return;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  Peer(Peer &&other) noexcept : fd_(std::exchange(other.fd_, -1)), unused_(std::move(other.unused_)) {}
  Peer &operator=(Peer &&other) noexcept {
    std::swap(fd_, other.fd_);
    unused_.swap(other.unused_);
    return *this;
  }
  ~Peer() { close(); }

  static Peer connect_unix(std::string const &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    Peer peer(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(peer.fd_, reinterpret_cast<sockaddr const *>(&address), sizeof address), 0)
        << std::strerror(errno);
    return peer;
  }

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // False when the other end does not take it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      auto const sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Everything up to and including `end`; what is there when the stream ends first.
  std::string read_until(std::string_view end) {
    for (;;) {
      auto const found = unused_.find(end);
      if (found != std::string::npos) return take(found + end.size());
      if (!read_more()) return take(unused_.size());
    }
  }
  std::string read_header() { return read_until("\r\n\r\n"); }
  std::string read_exactly(std::size_t bytes) {
    while (unused_.size() < bytes) {
      if (!read_more()) break;
    }
    return take(std::min(bytes, unused_.size()));
  }
  std::string read_to_end() {
    while (read_more()) {
    }
    return take(unused_.size());
  }
  std::string read_too_far() { return take(unused_.size()); }  // by the calls above
  std::string what_is_there() {
    char bytes[65536];
    for (;;) {
      auto const got = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got <= 0) return take(unused_.size());
      unused_.append(bytes, static_cast<std::size_t>(got));
    }
  }
  // True when the other end has closed and everything was read.
  bool at_end() {
    char byte = 0;
    return ::recv(fd_, &byte, 1, MSG_PEEK) == 0;
  }

  void half_close() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void reset() {
    linger const now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

 private:
  bool read_more() {
    char bytes[65536];
    auto const got = ::recv(fd_, bytes, sizeof bytes, 0);
    EXPECT_FALSE(got < 0 && errno == EAGAIN) << "nothing came within " << kPatienceSeconds << " s";
    if (got > 0) unused_.append(bytes, static_cast<std::size_t>(got));
    return got > 0;
  }
  std::string take(std::size_t bytes) {
    std::string taken = unused_.substr(0, bytes);
    unused_.erase(0, bytes);
    return taken;
  }

  int fd_;
  std::string unused_;
};

// A metadata service on 127.0.0.1 that does what its script says, on a thread of its own.
class Upstream {
 public:
  using Script = std::function<void(Upstream &)>;
  explicit Upstream(Script script = {}, int backlog = 64)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    timeval const patience{kPatienceSeconds, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_storage address{};
    socklen_t length = to_sockaddr({Address::from_v4({127, 0, 0, 1}), 0}, address);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr *>(&address), length), 0);
    EXPECT_EQ(::listen(fd_, backlog), 0);
    ::getsockname(fd_, reinterpret_cast<sockaddr *>(&address), &length);
    endpoint_ = from_sockaddr(address);
    if (script) thread_ = std::jthread([this, script = std::move(script)] { script(*this); });
  }
  ~Upstream() {
    if (thread_.joinable()) thread_.join();
    ::close(fd_);
  }
  Upstream(Upstream const &) = delete;
  Upstream &operator=(Upstream const &) = delete;

  Endpoint const &endpoint() const { return endpoint_; }

  Peer accept() {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    int const fd = ::accept4(fd_, reinterpret_cast<sockaddr *>(&address), &length, SOCK_CLOEXEC);
    EXPECT_GE(fd, 0) << "nobody connected";
    last_client_ = from_sockaddr(address);
    return Peer(fd);
  }
  Endpoint const &last_client() const { return last_client_; }

  bool somebody_waits() {
    pollfd state{fd_, POLLIN, 0};
    return ::poll(&state, 1, 0) > 0;
  }
  void join() { thread_.join(); }

 private:
  int fd_;
  Endpoint endpoint_, last_client_;
  std::jthread thread_;
};

}  // namespace imdsgate::test
