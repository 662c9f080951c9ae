// What changes while the daemon runs, and who else has to hear of it: the mode, the configuration, the host's own
// firewall rules. On the loop.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "gateway/control.hpp"
#include "gateway/gateway.hpp"
#include "gateway/interception.hpp"
#include "gateway/live_configuration.hpp"
#include "gateway/older_connections.hpp"
#include "gateway/who_asks.hpp"

namespace imdsgate {

class Changes {
 public:
  struct Parts {
    boost::asio::any_io_executor loop;
    LiveConfiguration &configuration;
    Gateway &gateway;
    Interception &interception;
    OlderConnections &older_connections;
    WhoAsks &who_asks;
    Worker &worker;
    Metrics &metrics;
    // Tells of it in an event of the daemon's life: what, an alert?, for people, who asked for it, details.
    std::function<void(Lifecycle, bool, std::string, std::optional<ControlPeer>, std::map<std::string, std::string>)>
        announce;
  };
  explicit Changes(Parts parts) : parts_(std::move(parts)) {}

  // Each answers as the control socket does (`error` where something was not done).
  boost::asio::awaitable<boost::json::object> set_mode(Mode mode, ControlPeer peer);
  boost::asio::awaitable<boost::json::object> reload(std::optional<ControlPeer> peer);  // nullopt: by a signal
  // `told`: the kernel said that nf_tables changed.
  boost::asio::awaitable<void> look_at_host_rules(bool told);

 private:
  void announce(Lifecycle what, bool alert, std::string message, std::optional<ControlPeer> peer = std::nullopt,
                std::map<std::string, std::string> details = {}) {
    parts_.announce(what, alert, std::move(message), peer, std::move(details));
  }
  void look_for_older_connections();
  void tell_of_host_rules(Error const &error);

  Parts const parts_;
};

}  // namespace imdsgate
