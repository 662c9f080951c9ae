// What becomes of the connections to guarded addresses that are older than the redirect and so go past it: where the
// fence stands they are reset, elsewhere they are told of. Each is an event that names who holds it. On the loop.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <set>

#include "attribute/bypassing.hpp"
#include "gateway/gateway.hpp"
#include "gateway/worker.hpp"

namespace imdsgate {

class OlderConnections {
 public:
  struct Parts {
    Gateway &gateway;
    Worker &worker;
    Bypassing cutter;
    std::uint16_t listen_port;
    std::function<bool()> fenced;
    std::function<void(std::string message)> failed;  // nothing could be found out
  };
  explicit OlderConnections(Parts parts) : parts_(std::move(parts)) {}

  // To be called when the redirect is in place, and whenever the fence or the guarded addresses may have changed. What
  // is left alone is told of once.
  boost::asio::awaitable<void> look();

 private:
  struct Tally {
    unsigned found = 0, destroyed = 0, kept = 0;
    std::string why_kept;
  };
  boost::asio::awaitable<void> pass();
  // False: it was gone.
  boost::asio::awaitable<bool> deal_with(TcpSocket socket, bool name, Tally &tally);
  bool told_of(TcpSocket const &socket);

  Parts parts_;
  std::set<std::uint64_t> told_;  // cookies, of those in the last list
  bool looking_ = false, again_ = false;
};

}  // namespace imdsgate
