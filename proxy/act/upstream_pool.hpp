// Connections to the metadata service: made with the mark that exempts them from the redirect, and kept open after a
// complete exchange so that another client's request can use one. One connection serves one client at a time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
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

class UpstreamPool {
 public:
  UpstreamPool(boost::asio::any_io_executor executor, UpstreamOptions options);

  // A connection whose local address is known to owns() for as long as it lives.
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
  boost::asio::awaitable<boost::system::result<Lease, ConnectFailure>> connect(Endpoint remote);
  void give_back(Lease lease);              // after a complete exchange only

  // Is this one of our own connections, come back to our own listener?
  bool owns(Endpoint const &local) const { return locals_.contains(local); }
  void set_options(UpstreamOptions options) { options_ = options; }
  std::size_t open() const { return locals_.size(); }
  void close_idle() { idle_.clear(); }

 private:
  void drop_stale();
  boost::asio::any_io_executor executor_;
  UpstreamOptions options_;
  std::multiset<Endpoint> locals_;
  std::map<Endpoint, std::deque<Lease>> idle_;
};

}  // namespace imdsgate
