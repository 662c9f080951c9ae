// What the sessions of one daemon share: the policy of the moment, the limits, the way upstream, where events go.
// Everything here runs on the loop's one thread. Owned by the daemon, and outlives every session.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>

#include "act/upstream_pool.hpp"
#include "attribute/attributor.hpp"
#include "attribute/container_runtime.hpp"
#include "decide/policy.hpp"
#include "gateway/admission.hpp"
#include "gateway/client_history.hpp"
#include "gateway/exec_context.hpp"
#include "gateway/settings.hpp"
#include "intercept/listener.hpp"
#include "intercept/local_addresses.hpp"
#include "report/event_sink.hpp"
#include "report/metrics.hpp"

namespace imdsgate {

class Gateway {
 public:
  struct Parts {
    boost::asio::io_context &loop;
    Attributor &attributor;
    ExecContext &execs;
    EventSink &sink;
    Metrics &metrics;
    // A connection of our own came back to our listener: the redirect loops (facts §1, CONNMARK --restore-mark).
    std::function<void(Flow const &)> on_self_loop;
    // Who created the client's socket, or whom else to count it for; nullopt when the kernel does not say. For the limit a
    // user has. On TCP it fills in flow.recorded, flow.socket and flow.dialled_from. With the accepted descriptor; -1: it is
    // not ours.
    std::function<std::optional<uid_t>(Flow &, int)> client_uid;
    // Does somebody still hold the client's end? For half-closed clients.
    std::function<bool(Flow const &)> client_alive;
    ContainerRuntime *containers = nullptr;  // where `containers.runtime` names one
  };

  Gateway(Parts parts, Settings const &settings, PolicySet policies);

  // A request is decided with what this was when it was read.
  struct Snapshot {
    Mode mode;
    std::shared_ptr<Policy const> policy;
  };
  Snapshot snapshot() const { return {mode_, policies_.of(mode_)}; }

  Mode mode() const { return mode_; }
  void set_mode(Mode mode) { mode_ = mode; }
  void reload(Settings const &settings, PolicySet policies);
  void use(PolicySet policies) { policies_ = std::move(policies); }  // of the same rules
  void set_local_addresses(LocalAddresses addresses) { local_addresses_ = std::move(addresses); }
  // The addresses of the guarded bridges: who comes in there may be of another network namespace.
  void set_bridges(std::vector<InterfaceAddress> bridges) { bridges_ = std::move(bridges); }

  // Takes connections from a listener until it is closed.
  boost::asio::awaitable<void> accept_from(Listener &listener);

  Limits const &limits() const { return limits_; }
  std::chrono::milliseconds idle_timeout() const { return idle_timeout_; }
  Parts const &parts() const { return parts_; }
  UpstreamPool &pool() { return pool_; }
  UpstreamPool const &pool() const { return pool_; }
  ClientHistory &history() { return history_; }
  unsigned sessions() const { return admission_.open(); }
  RequestEvent new_event(Flow const &flow, Mode mode) const;  // with its time and id

  // Open sessions, so that a drain that takes too long can end them.
  class Enrolment {
   public:
    Enrolment(Gateway &gateway, std::function<void()> abort);
    ~Enrolment();
    Enrolment(Enrolment const &) = delete;
    Enrolment &operator=(Enrolment const &) = delete;

   private:
    Gateway &gateway_;
    std::list<std::function<void()>>::iterator place_;
  };
  void begin_drain() { draining_ = true; }  // no connection is kept alive for another request
  bool draining() const { return draining_; }
  void abort_sessions();
  // Until no session is open, or the time is over.
  boost::asio::awaitable<void> drained(std::chrono::milliseconds at_most);

 private:
  void admit(Listener::Accepted accepted);
  std::optional<Reason> refusal_at_accept(Flow &flow, int fd);
  bool guarded(Endpoint const &endpoint) const;
  void report_refused(Flow const &flow, Reason reason);
  boost::asio::awaitable<void> turn_away(Connection client, Reason reason);

  Parts parts_;
  Mode mode_;
  PolicySet policies_;
  Limits limits_;
  std::chrono::milliseconds idle_timeout_;
  UpstreamPool pool_;
  Admission admission_;
  ClientHistory history_;
  LocalAddresses local_addresses_;
  std::vector<InterfaceAddress> bridges_;
  std::list<std::function<void()>> open_sessions_;
  bool draining_ = false;
  unsigned turning_away_ = 0;
  boost::asio::steady_timer last_session_ended_;  // cancelled when it did: an event to wait for
};

}  // namespace imdsgate
