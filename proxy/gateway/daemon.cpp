#include "gateway/daemon.hpp"

#include <systemd/sd-daemon.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <functional>
#include <iostream>

#include "attribute/pid_namespace.hpp"
#include "gateway/capabilities.hpp"
#include "gateway/changes.hpp"
#include "gateway/control.hpp"
#include "gateway/gateway.hpp"
#include "gateway/instance_lock.hpp"
#include "gateway/interception.hpp"
#include "gateway/live_configuration.hpp"
#include "gateway/metrics_server.hpp"
#include "gateway/older_connections.hpp"
#include "gateway/root_dialler.hpp"
#include "gateway/start_up.hpp"
#include "gateway/status.hpp"
#include "gateway/who_asks.hpp"
#include "intercept/netns.hpp"
#include "intercept/xtables.hpp"
#include "report/host_info.hpp"
#include "report/sinks.hpp"

namespace imdsgate {

namespace asio = boost::asio;

namespace {

constexpr auto kDrain = std::chrono::seconds(5);
constexpr auto kAbort = std::chrono::seconds(1);
constexpr auto kFlush = std::chrono::seconds(2);
constexpr auto kTick = std::chrono::seconds(1);
constexpr unsigned kTicksToWrite = 10;  // what was proven since is lost in a crash
constexpr auto kWait = asio::as_tuple(asio::use_awaitable);

class Daemon {
 public:
  // `exec_queue`: the host's exec events, or why there are none.
  Daemon(RunOptions const &options, Configuration configuration, InstanceLock lock, Result<ExecQueue> exec_queue);
  Result<void> start_up();
  int run();

 private:
  Result<void> open_parts();
  Result<void> open_root_dialler();
  void stop_without(Lifecycle what, std::string message);
  Result<void> open_control_and_metrics();
  asio::awaitable<void> serve_signals();
  asio::awaitable<void> tick();
  asio::awaitable<void> stop();
  void announce(Lifecycle what, bool alert, std::string message, std::optional<ControlPeer> peer = std::nullopt,
                std::map<std::string, std::string> details = {});
  void refresh_metrics();
  void say_what_was_lost();

  InstanceLock const lock_;
  LiveConfiguration configuration_;
  Settings const &settings_{configuration_.settings()};
  asio::io_context loop_{1};
  std::optional<Worker> worker_;  // its thread starts after the prober and the dialler were forked
  asio::signal_set signals_{loop_, SIGTERM, SIGINT, SIGHUP};
  asio::steady_timer tick_timer_{loop_};
  Metrics metrics_{IMDSGATE_VERSION};
  std::unique_ptr<Reporter> reporter_;
  Result<ExecQueue> exec_queue_;  // until who_asks_ has it
  std::unique_ptr<WhoAsks> who_asks_;
  std::optional<RootDialler> root_dialler_;  // where WireServer is guarded
  std::optional<Gateway> gateway_;
  std::optional<Interception> interception_;
  std::optional<OlderConnections> older_connections_;
  std::optional<Changes> changes_;
  ControlCommands commands_;
  bool stopping_ = false;
  int exit_code_ = 0;
  std::unique_ptr<Listener> control_, metrics_listener_;
  std::function<void()> const refresh_ = [this] { refresh_metrics(); };
  std::chrono::system_clock::time_point const started_ = std::chrono::system_clock::now();
};

Daemon::Daemon(RunOptions const &options, Configuration configuration, InstanceLock lock,
               Result<ExecQueue> exec_queue)
    : lock_(std::move(lock)),
      configuration_(options, std::move(configuration)),
      exec_queue_(std::move(exec_queue)) {}

Result<void> Daemon::start_up() {
  if (auto opened = open_parts(); !opened) return opened;
  Gateway::Parts parts{loop_, who_asks_->tier().attributor(), who_asks_->execs(), *reporter_, metrics_, {}, {}, {}, who_asks_->containers()};
  parts.client_uid = [this](Flow &flow, int accepted) { return who_asks_->client_uid(flow, accepted); };
  parts.on_self_loop = [this](Flow const &) {
    asio::co_spawn(loop_, interception_->self_loop(gateway_->mode()), asio::detached);
  };
  parts.client_alive = [this](Flow const &flow) { return who_asks_->client_alive(flow); };
  gateway_.emplace(std::move(parts), settings_, configuration_.policies());
  if (root_dialler_) {
    gateway_->pool().dial_as_root([this](Endpoint remote, std::uint32_t mark) { return root_dialler_->dial(remote, mark); });
  }
  interception_.emplace(*gateway_, *worker_, settings_, metrics_, [this](Lifecycle what, bool alert, std::string message) {
    announce(what, alert, std::move(message));
  });
  interception_->on_look([this](bool told) { return changes_->look_at_host_rules(told); });
  if (auto listening = interception_->open_listeners(inherited_listeners()); !listening) return listening;
  if (auto opened = open_control_and_metrics(); !opened) return opened;
  auto cutter = Bypassing::open();
  if (!cutter) return cutter.error();
  older_connections_.emplace(OlderConnections::Parts{
      *gateway_, *worker_, *std::move(cutter), settings_.listen_port, [this] { return interception_->fenced(); },
      [this](std::string message) { announce(Lifecycle::drift, true, std::move(message)); }});
  changes_.emplace(Changes::Parts{loop_.get_executor(), configuration_, *gateway_, *interception_, *older_connections_, *who_asks_, *worker_, metrics_,
                                  std::bind_front(&Daemon::announce, this)});
  if (auto armed = interception_->arm(settings_.mode); !armed) return armed;
  who_asks_->note_dial_times();
  return {};
}

Result<void> Daemon::open_parts() {
  auto host = read_host_info(settings_.provider);
  if (!host) return host.error();
  if (auto opened = open_root_dialler(); !opened) return opened;
  hold_legacy_lists();
  if (auto beside = configuration_.stand_beside_host_rules(); !beside) return beside;
  for (auto const &line : configuration_.host_rules().notes()) std::cerr << "imdsgate: " << line << '\n';
  auto const replaced = [this](std::string const &why, bool gone) {
    if (gone && !stopping_) return stop_without(Lifecycle::prober_replaced, why);
    announce(Lifecycle::prober_replaced, false, why);
  };
  auto who_asks =
      WhoAsks::open(settings_, *host, std::move(exec_queue_), {loop_.get_executor(), metrics_, replaced});
  if (!who_asks) return who_asks.error();
  who_asks_ = *std::move(who_asks);
  if (auto dropped = drop_start_up_capabilities(); !dropped) return dropped;
  worker_.emplace(1);
  auto reporter = Reporter::open(sink_options(settings_.sinks), std::move(host.value()), metrics_);
  if (!reporter) return reporter.error();
  reporter_ = std::move(reporter.value());
  return {};
}

Result<void> Daemon::open_root_dialler() {
  if (!guards_wireserver(settings_.endpoints)) return {};
  auto process = spawn_root_dialler();
  if (!process) return process.error();
  root_dialler_.emplace(loop_.get_executor(), *std::move(process), [this] {
    if (!stopping_) stop_without(Lifecycle::dialler_gone, "what dials WireServer as uid 0 ended");
  });
  return {};
}

// A helper that is gone cannot be started again: the capabilities it needs were dropped. The service manager starts all
// of it anew.
void Daemon::stop_without(Lifecycle what, std::string message) {
  announce(what, true, std::move(message));
  exit_code_ = 1;
  asio::co_spawn(loop_, stop(), asio::detached);
}

Result<void> Daemon::open_control_and_metrics() {
  std::optional<gid_t> group;
  if (settings_.control_group) {
    group = group_id(*settings_.control_group);
    if (!group) std::cerr << "imdsgate: no group " << *settings_.control_group << ": only root may read the control socket\n";
  }
  auto control = Listener::open_unix(loop_.get_executor(), settings_.control_socket);
  if (!control) return control.error();
  control_ = std::move(control.value());
  commands_.status = [this] {
    return status_of({*gateway_, *interception_, who_asks_->tier(), *reporter_, settings_, configuration_.host_rules(), who_asks_->exec_feed().source(), who_asks_->execs(), started_});
  };
  commands_.unknown_paths = [this] { return unknown_paths_of(*reporter_); };
  commands_.mode = [this] { return gateway_->mode(); };
  commands_.set_mode = [this](Mode mode, ControlPeer peer) { return changes_->set_mode(mode, peer); };
  commands_.reload = [this](std::optional<ControlPeer> peer) { return changes_->reload(peer); };
  asio::co_spawn(loop_, serve_control(*control_, commands_, group), asio::detached);
  if (!settings_.metrics) return {};
  auto metrics = Listener::open_tcp(loop_.get_executor(), *settings_.metrics);
  if (!metrics) return metrics.error();
  metrics_listener_ = std::move(metrics.value());
  asio::co_spawn(loop_, serve_metrics(*metrics_listener_, metrics_, refresh_), asio::detached);
  return {};
}

int Daemon::run() {
  asio::co_spawn(loop_, serve_signals(), asio::detached);
  asio::co_spawn(loop_, interception_->watch(), asio::detached);
  asio::co_spawn(loop_, tick(), asio::detached);
  std::map<std::string, std::string> details{
      {"version", IMDSGATE_VERSION}, {"attribution_tier", who_asks_->tier().name()}, {"exec_events", who_asks_->exec_feed().source()}};
  if (!who_asks_->tier().why_not_bpf().empty()) details["attribution_not_bpf"] = who_asks_->tier().why_not_bpf();
  if (auto unseen = what_is_not_seen(); !unseen.empty()) details["attribution_not_seen"] = std::move(unseen);
  auto const &[denials, left_out] = configuration_.host_rules();
  if (!denials.empty()) details["existing"] = configuration_.existing();
  for (auto const &endpoint : left_out) {
    details["not_guarded"] += (details["not_guarded"].empty() ? "" : " ") + endpoint.to_string();
  }
  announce(Lifecycle::started, false, "imdsgate " IMDSGATE_VERSION " started", std::nullopt, std::move(details));
  asio::co_spawn(loop_, older_connections_->look(), asio::detached);
  ::sd_notify(0, "READY=1");
  loop_.run();
  // A session that did not end in spite of everything refers to the gateway: leave its memory to the kernel.
  bool const all_ended = gateway_->sessions() == 0;
  bool const flushed = reporter_->close(kFlush);
  if (!flushed) std::cerr << "imdsgate: not every event could be written before the end\n";
  if (!all_ended) std::_Exit(exit_code_);
  return exit_code_;
}

asio::awaitable<void> Daemon::serve_signals() {
  for (;;) {
    auto [code, signal] = co_await signals_.async_wait(kWait);
    if (code) co_return;
    if (signal != SIGHUP) break;
    ::sd_notify(0, "RELOADING=1");
    co_await changes_->reload(std::nullopt);
    ::sd_notify(0, "READY=1");
  }
  ::sd_notify(0, "STOPPING=1");
  co_await stop();
}

// The firewall first: from then on nobody new is sent here, and who is here already is served to the end.
asio::awaitable<void> Daemon::stop() {
  auto const mode = gateway_->mode();
  if (std::exchange(stopping_, true)) co_return;
  gateway_->begin_drain();
  auto const diverted = co_await interception_->divert(mode);
  if (!diverted) announce(Lifecycle::drift, true, "the redirect could not be taken out: " + diverted.error().detail);
  interception_->close_listeners();
  co_await gateway_->drained(kDrain);
  gateway_->abort_sessions();
  co_await gateway_->drained(kAbort);
  auto const stood_down = co_await interception_->stand_down(mode);
  if (!stood_down) announce(Lifecycle::drift, true, "the firewall could not be left as on_stop says: " + stood_down.error().detail);
  announce(Lifecycle::stopped, false, std::string("imdsgate stopped; ") +
                                          (interception_->fenced() ? "the fence stays" : "no rule of its own is left"));
  co_await who_asks_->write_proven(*worker_);
  control_->close();
  if (metrics_listener_) metrics_listener_->close();
  tick_timer_.cancel();
  who_asks_->close();
  if (root_dialler_) root_dialler_->close();
  loop_.stop();
}

asio::awaitable<void> Daemon::tick() {
  for (unsigned ticks = 1;; ++ticks) {
    tick_timer_.expires_after(kTick);
    auto [code] = co_await tick_timer_.async_wait(kWait);
    if (code) co_return;
    refresh_metrics();
    say_what_was_lost();
    who_asks_->tick();
    if (ticks % kTicksToWrite == 0) co_await who_asks_->write_proven(*worker_);
  }
}

// Once a second at most: a host that loses one span loses many.
void Daemon::say_what_was_lost() {
  auto const losses = who_asks_->exec_feed().take_losses();
  if (losses == 0) return;
  announce(Lifecycle::exec_events_lost, true,
           "exec events were lost in " + std::to_string(losses) +
               " spans of time: whether a sequence rule matches was not known then");
}

void Daemon::refresh_metrics() {
  reporter_->tick();
  metrics_.set_connections(gateway_->sessions());
  metrics_.set_rates_untracked(gateway_->history().rates().untracked());
  metrics_.set_denied_tokens_forgotten(gateway_->history().denied_tokens().evicted());
  auto const &tokens = gateway_->history().tokens();
  metrics_.set_tokens(tokens.size(), tokens.forgotten());
  metrics_.set_mode(gateway_->mode());
  auto const limits = who_asks_->execs().limits();
  metrics_.set_rule_limits({limits.sequences, limits.join_keys, limits.values, limits.execs, limits.processes});
  metrics_.set_pending_sequences(limits.pending_sequences);
  if (auto const *containers = who_asks_->containers()) {
    auto const &counts = containers->counters();
    metrics_.set_container_lookups({counts.answered, counts.unknown, counts.failed, counts.refused});
  }
}

void Daemon::announce(Lifecycle what, bool alert, std::string message, std::optional<ControlPeer> peer,
                      std::map<std::string, std::string> details) {
  LifecycleEvent event;
  event.time = std::chrono::system_clock::now();
  event.id = new_event_id();
  event.what = what;
  event.mode = gateway_->mode();
  event.alert = alert;
  event.message = std::move(message);
  event.details = std::move(details);
  if (peer) {
    event.actor_uid = peer->uid;
    event.actor_pid = peer->pid;
  }
  if (alert) std::cerr << "imdsgate: " << event.message << std::endl;
  reporter_->write(event);
}

}  // namespace

int run_daemon(RunOptions const &options) {
  auto configuration = load_configuration(options.configuration, options.named);
  for (auto const &problem : configuration.problems) std::cerr << problem.to_string() << '\n';
  if (!configuration.ok()) return 2;
  auto const fail = [](std::string const &what) {
    std::cerr << "imdsgate: " << what << '\n';
    return 1;
  };
  if (auto proc = proc_is_of_this_pid_namespace(); !proc) return fail(proc.error().detail);
  auto lock = InstanceLock::take(configuration.settings.control_socket);
  if (!lock) return fail(lock.error().detail);
  // Where the daemon was started: another network namespace has no proc connector.
  auto exec_queue = open_exec_queue(configuration.settings.attribution);
  if (options.netns) {
    if (auto entered = enter_network_namespace(*options.netns); !entered) return fail(entered.error().detail);
  }
  if (auto const missing = missing_capabilities(capabilities_of_a_run(configuration.settings)); !missing.empty()) {
    for (auto const &line : missing) fail(line);
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  Daemon daemon(options, std::move(configuration), std::move(lock.value()), std::move(exec_queue));
  if (auto started = daemon.start_up(); !started) return fail(started.error().detail);
  return daemon.run();
}

}  // namespace imdsgate
