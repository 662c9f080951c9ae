// Connections to the metadata service: made with the mark that exempts them from the redirect, and kept open after a
// complete exchange so that another client's request can use one. One connection serves one client at a time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "act/connection.hpp"
#include "model/address.hpp"
#include "model/reason.hpp"

namespace imdsgate {

struct UpstreamOptions {
  std::uint32_t mark = 0x1d5;
  std::chrono::milliseconds connect_timeout{500};
};

// Why no connection was made: an upstream reason of model/reason.hpp.
struct ConnectFailure {
  Reason reason;
  std::string detail;
};
[[noreturn]] inline void throw_exception_from_error(ConnectFailure const &why, boost::source_location const &) {
  throw std::runtime_error(why.detail);
}

// Makes a socket that is being connected to the endpoint, with the mark, as another user than ours.
using DialAsRoot = std::function<boost::asio::awaitable<boost::system::result<int, ConnectFailure>>(
    Endpoint remote, std::uint32_t mark)>;

class UpstreamPool {
 public:
  UpstreamPool(boost::asio::any_io_executor executor, UpstreamOptions options);

  void dial_as_root(DialAsRoot dial) { dial_as_root_ = std::move(dial); }

  // A connection whose ends are known to owns() for as long as it lives.
  class Upstream : public Connection {
   public:
    Upstream(UpstreamPool &pool, StreamSocket socket, Endpoint local, Endpoint remote);
    ~Upstream();
    Endpoint const remote;
    std::chrono::steady_clock::time_point idle_since{};

   private:
    UpstreamPool &pool_;
    Endpoint const local_;
  };
  using Lease = std::unique_ptr<Upstream>;

  Lease take_idle(Endpoint const &remote);  // nullptr: none that is still good
  // `as_root`: its socket is uid 0's. owns() may learn of such a one only after it came back to us.
  boost::asio::awaitable<boost::system::result<Lease, ConnectFailure>> connect(Endpoint remote, bool as_root = false);
  void give_back(Lease lease);              // after a complete exchange only

  // Is this one of our own connections, come back to our own listener?
  bool owns(Endpoint const &local, Endpoint const &remote) const { return ends_.contains({local, remote}); }
  void set_options(UpstreamOptions options) { options_ = options; }
  std::size_t open() const { return ends_.size(); }
  void close_idle() { idle_.clear(); }

 private:
  void drop_stale();
  boost::system::result<int, ConnectFailure> dial(Endpoint const &remote) const;
  boost::system::result<Lease, ConnectFailure> adopt(int fd, Endpoint const &remote);
  boost::asio::any_io_executor executor_;
  UpstreamOptions options_;
  DialAsRoot dial_as_root_;
  std::multiset<std::pair<Endpoint, Endpoint>> ends_;  // local and remote
  std::map<Endpoint, std::deque<Lease>> idle_;
};

}  // namespace imdsgate
