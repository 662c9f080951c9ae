// What makes the host's metadata traffic arrive here: listeners, then the firewall, kept right while addresses change
// and others touch the tables. Used on the loop; the firewall's own programs run on the worker.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gateway/gateway.hpp"
#include "gateway/settings.hpp"
#include "gateway/worker.hpp"
#include "intercept/change_watch.hpp"
#include "intercept/firewall.hpp"
#include "intercept/listener.hpp"

namespace imdsgate {

class Interception {
 public:
  using Announce = std::function<void(Lifecycle what, bool alert, std::string message)>;

  Interception(Gateway &gateway, Worker &worker, Settings const &settings, Metrics &metrics, Announce announce);

  // Start-up, in this order; each blocks. Errors are for the operator.
  Result<void> open_listeners(std::vector<int> inherited);  // inherited: sd_listen_fds(3)
  Result<void> arm(Mode mode);                              // host_rules.hpp's look at others' rules comes before

  // The running daemon.
  boost::asio::awaitable<void> watch();  // addresses and drift, until stop_watching()
  boost::asio::awaitable<Result<void>> apply(Mode mode);
  boost::asio::awaitable<void> self_loop(Mode mode);  // audit: takes the redirect out
  // Stopping, in two steps, as on_stop says: nobody new is sent here, but who is here keeps his connection; then, when
  // those are served, the rest. The listeners stay.
  boost::asio::awaitable<Result<void>> divert(Mode mode);
  boost::asio::awaitable<Result<void>> stand_down(Mode mode);
  // Called as often as the drift is looked for; `told`: rules of nf_tables were changed since, or that is not known.
  void on_look(std::function<boost::asio::awaitable<void>(bool told)> call) { on_look_ = std::move(call); }
  void reload(Settings const &settings);  // arms again what self_loop() took out; apply() is to follow
  void stop_watching();
  void close_listeners();

  bool redirecting() const { return redirect_; }
  bool fenced() const { return fence_; }
  std::vector<std::string> listening() const;

 private:
  boost::asio::awaitable<void> run(std::unique_ptr<Listener> listener);
  Result<void> start(Result<std::unique_ptr<Listener>> listener);
  Result<void> listen_on_interfaces();
  FirewallSpec spec(bool redirect, bool fence) const;
  bool keeps_fence(Mode mode) const;
  bool told_of_rules();
  boost::asio::awaitable<void> watch_addresses();
  boost::asio::awaitable<void> watch_drift();
  boost::asio::awaitable<void> addresses_changed();
  boost::asio::awaitable<void> look_at_bridges();
  void use_bridges(std::vector<std::string> usable, std::vector<std::string> wrong);
  std::vector<InterfaceAddress> bridge_addresses() const;

  Gateway &gateway_;
  Worker &worker_;
  Settings settings_;
  Metrics &metrics_;
  Announce announce_;
  std::function<boost::asio::awaitable<void>(bool told)> on_look_;
  LocalAddresses addresses_;
  std::vector<std::string> bridges_;  // of those that `containers` names, the ones that may be guarded
  std::vector<std::string> said_of_bridges_;  // why the others may not
  std::set<Listener *> listeners_;                 // owned by their coroutine
  std::map<Endpoint, Listener *> on_interfaces_;   // those of listeners_ that follow the interfaces' addresses
  std::unique_ptr<ChangeWatch> address_watch_;
  std::optional<ChangeWatch> rules_watch_;  // nullopt: there is none, so any look may find something new
  std::unique_ptr<boost::asio::posix::stream_descriptor> address_events_;
  boost::asio::steady_timer drift_timer_;
  bool redirect_ = false;
  bool fence_ = false;
  bool drift_unknown_ = false;  // the last look failed, and that was said
  bool watching_ = true;
};

}  // namespace imdsgate
