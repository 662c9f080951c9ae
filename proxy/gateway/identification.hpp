// Attribution over the life of one connection. A name that the kernel's own record of the connection gives stands alone;
// without one, a name is given only when who held the socket at accept and who holds it at the request are the same
// (design §4).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

#include "attribute/attributor.hpp"
#include "report/metrics.hpp"

namespace imdsgate {

class Identification {
 public:
  Identification(Attributor &attributor, Metrics &metrics, Flow flow, boost::asio::any_io_executor executor);

  // Starts the look at accept, which goes on while the request is read. on_done runs when it is there.
  void look_at_accept(std::function<void()> on_done);
  // The answer for a request that has been read completely, with all that was received on the connection until then.
  // Without a look at accept, accept and request are one moment.
  boost::asio::awaitable<AttributionResult> look_at_request(std::uint64_t received);
  // To be awaited before this is destroyed: a look may still be under way.
  boost::asio::awaitable<void> settled();
  // What is known without asking again, for refusals: nullopt while the first look is under way or was not taken.
  std::optional<AttributionResult> const &at_accept() const { return at_accept_; }

 private:
  boost::asio::awaitable<AttributionResult> look(std::uint64_t received);

  Attributor &attributor_;
  Metrics &metrics_;
  Flow const flow_;
  boost::asio::steady_timer settled_;  // cancelled when the look at accept ends: an event to wait for
  bool looking_ = false;
  std::optional<AttributionResult> at_accept_;
};

}  // namespace imdsgate
