#include "gateway/interception.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iostream>

#include "gateway/host_rules.hpp"
#include "gateway/own_cgroup.hpp"
#include "intercept/bridges.hpp"
#include "intercept/listening.hpp"

namespace imdsgate {

namespace asio = boost::asio;

namespace {

constexpr auto kLookForDrift = std::chrono::seconds(10);
constexpr auto kWait = asio::as_tuple(asio::use_awaitable);

// A redirect must not lead to somebody else: of those the kernel knows to listen on the port, the one on this very
// address, and none on the wildcard, must be the socket behind `fd`.
Result<void> listens_here(Endpoint const &endpoint, int fd) {
  struct stat own {};
  if (::fstat(fd, &own) != 0) return Error{Errc::system, "fstat of the listener"};
  auto const listening = listening_sockets(endpoint.port);
  if (!listening) return listening.error();
  bool found = false;
  for (auto const &socket : *listening) {
    bool const here = socket.address == endpoint.address;
    bool const everywhere = socket.address == Address{} || socket.address == Address::from_v4({});
    if (here && socket.inode == own.st_ino) found = true;
    if ((here || everywhere) && socket.inode != own.st_ino) {
      return Error{Errc::refused, "uid " + std::to_string(socket.uid) + " listens on " + endpoint.to_string() + " too"};
    }
  }
  if (!found) return Error{Errc::refused, "the kernel does not list the listener on " + endpoint.to_string()};
  return {};
}

Address loopback(bool ipv6) { return Address::parse(ipv6 ? "::1" : "127.0.0.1").value(); }

}  // namespace

Interception::Interception(Gateway &gateway, Worker &worker, Settings const &settings, Metrics &metrics, Announce announce)
    : gateway_(gateway),
      worker_(worker),
      settings_(settings),
      metrics_(metrics),
      announce_(std::move(announce)),
      drift_timer_(gateway.parts().loop) {}

asio::awaitable<void> Interception::run(std::unique_ptr<Listener> listener) {
  listeners_.insert(listener.get());
  co_await gateway_.accept_from(*listener);
  listeners_.erase(listener.get());
}

Result<void> Interception::start(Result<std::unique_ptr<Listener>> listener) {
  if (!listener) return listener.error();
  if ((*listener)->transport() == Transport::tcp) {
    if (auto own = listens_here((*listener)->local(), (*listener)->native_handle()); !own) return own.error();
  }
  asio::co_spawn(gateway_.parts().loop, run(std::move(listener.value())), asio::detached);
  return {};
}

Result<void> Interception::open_listeners(std::vector<int> inherited) {
  auto addresses = read_local_addresses();
  if (!addresses) return addresses.error();
  addresses_ = std::move(addresses.value());
  gateway_.set_local_addresses(addresses_);
  auto const bridges = look_at_interfaces(settings_.bridges);
  if (!bridges) return bridges.error();
  if (auto const wrong = why_not_bridges(*bridges); !wrong.empty()) return Error{Errc::refused, wrong.front()};
  bridges_ = settings_.bridges;
  auto const executor = gateway_.parts().loop.get_executor();

  bool have_v4 = false, have_v6 = false, have_unix = false;
  for (int const fd : inherited) {
    auto listener = Listener::adopt(executor, fd);
    if (!listener) return listener.error();
    auto const &local = (*listener)->local();
    bool const unix_socket = (*listener)->transport() == Transport::unix_socket;
    if (unix_socket && !settings_.listen_unix) continue;  // not asked for: it is closed
    if (!unix_socket && local.port != settings_.listen_port) {
      return Error{Errc::refused, "the inherited listener is on " + local.to_string() + ", not on listen.port"};
    }
    (unix_socket ? have_unix : local.address.is_v4() ? have_v4 : have_v6) = true;
    if (auto started = start(std::move(listener)); !started) return started;
  }
  if (!have_v4) {
    auto started = start(Listener::open_tcp(executor, {loopback(false), settings_.listen_port}));
    if (!started) return started;
  }
  if (!have_v6 && addresses_.ipv6) {
    auto started = start(Listener::open_tcp(executor, {loopback(true), settings_.listen_port}));
    if (!started) return started;
  }
  if (!have_unix && settings_.listen_unix) {
    auto started = start(Listener::open_unix(executor, *settings_.listen_unix));
    if (!started) return started;
  }
  return listen_on_interfaces();
}

// Follows addresses_: opens what is new, closes what is gone.
Result<void> Interception::listen_on_interfaces() {
  std::set<Endpoint> wanted;
  for (auto const &entry : addresses_.listenable) wanted.insert({entry.address, settings_.listen_port});
  for (auto place = on_interfaces_.begin(); place != on_interfaces_.end();) {
    bool const gone = !wanted.contains(place->first);
    if (gone && listeners_.contains(place->second)) place->second->close();
    place = gone ? on_interfaces_.erase(place) : std::next(place);
  }
  for (auto const &endpoint : wanted) {
    if (on_interfaces_.contains(endpoint)) continue;
    auto listener = Listener::open_tcp(gateway_.parts().loop.get_executor(), endpoint);
    Listener *const opened = listener ? listener->get() : nullptr;
    if (auto started = start(std::move(listener)); !started) return started;
    on_interfaces_[endpoint] = opened;
  }
  gateway_.set_bridges(bridge_addresses());
  return {};
}

std::vector<InterfaceAddress> Interception::bridge_addresses() const {
  std::vector<InterfaceAddress> found;
  std::ranges::copy_if(addresses_.listenable, std::back_inserter(found), [this](InterfaceAddress const &each) {
    return std::ranges::find(bridges_, each.interface) != bridges_.end();
  });
  return found;
}

FirewallSpec Interception::spec(bool redirect, bool fence) const {
  FirewallSpec spec = firewall_spec(settings_);
  for (auto const &entry : addresses_.listenable) {
    if (on_interfaces_.contains({entry.address, settings_.listen_port})) spec.interfaces.push_back(entry);
  }
  spec.bridges = bridges_;
  spec.exemption.uid = ::geteuid();
  spec.exemption.cgroup = own_cgroup();
  spec.redirect = redirect;
  spec.fence = fence;
  return spec;
}

Result<void> Interception::arm(Mode mode) {
  auto const wanted = spec(true, mode == Mode::enforce);
  std::vector<std::string> notes;
  auto applied = apply_firewall(wanted, notes);
  for (auto const &note : notes) std::cerr << "imdsgate: " << note << '\n';  // a family that is left out, and why
  if (!applied) return applied;
  redirect_ = true;
  fence_ = wanted.fence;
  return {};
}

asio::awaitable<Result<void>> Interception::apply(Mode mode) {
  co_await look_at_bridges();
  auto const wanted = spec(redirect_, mode == Mode::enforce);
  auto const work = [wanted] { return apply_firewall(wanted); };
  auto applied = co_await run_on(worker_, work);
  if (applied) fence_ = wanted.fence;
  co_return applied;
}

asio::awaitable<void> Interception::self_loop(Mode mode) {
  if (!redirect_) co_return;
  if (mode == Mode::enforce) {
    announce_(Lifecycle::self_loop, true,
              "the gateway's own upstream connection was redirected back to it; requests fail until the rule that "
              "removes its mark is gone (a CONNMARK --restore-mark in mangle OUTPUT does this)");
    co_return;
  }
  redirect_ = false;  // at once, so that one alert is raised and not one a connection
  auto const wanted = spec(false, false);
  auto const work = [wanted] { return apply_firewall(wanted); };
  auto const applied = co_await run_on(worker_, work);
  announce_(Lifecycle::self_loop, true,
            "the gateway's own upstream connection was redirected back to it; audit never breaks a host, so the redirect " +
                (applied ? std::string("was taken out: metadata traffic is not seen")
                         : "should be taken out, and could not be: " + applied.error().detail));
}

bool Interception::keeps_fence(Mode mode) const {
  switch (settings_.on_stop) {
    case OnStop::keep: return true;
    case OnStop::remove: return false;
    case OnStop::automatic: return mode == Mode::enforce;
  }
  __builtin_unreachable();
}

asio::awaitable<Result<void>> Interception::divert(Mode mode) {
  stop_watching();
  if (!redirect_) co_return Result<void>{};
  auto wanted = spec(true, keeps_fence(mode));
  wanted.draining = true;
  auto const work = [wanted] { return apply_firewall(wanted); };
  co_return co_await run_on(worker_, work);
}

asio::awaitable<Result<void>> Interception::stand_down(Mode mode) {
  bool const keep = keeps_fence(mode);
  auto const wanted = spec(false, true);
  auto const work = [wanted, keep] { return keep ? apply_firewall(wanted) : remove_firewall(); };
  auto const done = co_await run_on(worker_, work);
  if (done) {
    redirect_ = false;
    fence_ = keep;
  }
  co_return done;
}

asio::awaitable<void> Interception::watch() {
  if (auto watch = ChangeWatch::of_nf_tables()) rules_watch_.emplace(*std::move(watch));
  asio::co_spawn(gateway_.parts().loop, watch_drift(), asio::detached);
  co_await watch_addresses();
}

asio::awaitable<void> Interception::watch_addresses() {
  auto watch = ChangeWatch::of_addresses();
  if (!watch) {
    announce_(Lifecycle::drift, true, "changes of the host's addresses cannot be followed: " + watch.error().detail);
    co_return;
  }
  address_watch_ = std::make_unique<ChangeWatch>(std::move(watch.value()));
  address_events_ =
      std::make_unique<asio::posix::stream_descriptor>(gateway_.parts().loop, ::dup(address_watch_->fd()));
  while (watching_) {
    auto [code] = co_await address_events_->async_wait(asio::posix::descriptor_base::wait_read, kWait);
    if (code) co_return;
    auto const changed = address_watch_->drain();
    if (!changed || *changed) co_await addresses_changed();
  }
}

// One that has become an uplink, or was named by a reload and is none of ours, is guarded no more, and said once.
asio::awaitable<void> Interception::look_at_bridges() {
  auto const names = settings_.bridges;
  if (names.empty()) co_return use_bridges({}, {});
  auto const look = [names] { return look_at_interfaces(names); };
  auto const found = co_await run_on(worker_, look);
  if (!found) co_return use_bridges({}, {"the bridges of `containers` cannot be looked at: " + found.error().detail});
  std::vector<std::string> usable;
  for (auto const &each : *found) {
    if (!why_not_bridge(each)) usable.push_back(each.name);
  }
  use_bridges(std::move(usable), why_not_bridges(*found));
}

void Interception::use_bridges(std::vector<std::string> usable, std::vector<std::string> wrong) {
  for (auto const &line : wrong) {
    bool const said = std::ranges::find(said_of_bridges_, line) != said_of_bridges_.end();
    if (!said) announce_(Lifecycle::drift, true, line + "; what comes over it is not intercepted");
  }
  said_of_bridges_ = std::move(wrong);
  bridges_ = std::move(usable);
  gateway_.set_bridges(bridge_addresses());
}

asio::awaitable<void> Interception::addresses_changed() {
  auto now = read_local_addresses();
  if (!now || now->all == addresses_.all) co_return;
  bool const listenable_changed = now->listenable != addresses_.listenable;
  addresses_ = std::move(now.value());
  gateway_.set_local_addresses(addresses_);
  if (!listenable_changed) co_return;
  if (auto listening = listen_on_interfaces(); !listening) announce_(Lifecycle::drift, true, listening.error().detail);
  if (!redirect_) co_return;
  auto const applied = co_await apply(gateway_.mode());
  if (!applied) announce_(Lifecycle::drift, true, applied.error().detail);
}

// Somebody else may flush or reorder the tables; netfilter's own notifications exist for one backend only, so they are
// compared on a timer.
asio::awaitable<void> Interception::watch_drift() {
  while (watching_) {
    drift_timer_.expires_after(kLookForDrift);
    auto [code] = co_await drift_timer_.async_wait(kWait);
    if (code || !watching_) co_return;
    if (on_look_) co_await on_look_(told_of_rules());
    auto const bridges = bridges_;
    co_await look_at_bridges();
    if (bridges_ != bridges) co_await apply(gateway_.mode());  // the look below tells when it failed
    auto const wanted = spec(redirect_, fence_);
    auto const look = [wanted] { return firewall_status(wanted); };
    auto const status = co_await run_on(worker_, look);
    if (!watching_) co_return;
    bool const unknown_before = std::exchange(drift_unknown_, !status);
    if (!status && !unknown_before) {
      announce_(Lifecycle::drift, true, "whether the firewall rules still stand is not known: " + status.error().detail);
    }
    if (!status || wanted.redirect != redirect_ || wanted.fence != fence_) continue;
    bool as_specified = true;
    std::string differences;
    for (auto const &family : status->families) {
      as_specified = as_specified && family.as_specified;
      for (auto const &line : family.differences) differences += "\n  " + line;
    }
    if (as_specified) continue;
    metrics_.count_firewall_drift();
    auto const work = [wanted] { return apply_firewall(wanted); };
    auto const applied = co_await run_on(worker_, work);
    announce_(Lifecycle::drift, true,
              "the firewall rules were changed by someone else and " +
                  (applied ? std::string("were put back") : "could not be put back: " + applied.error().detail) + ':' +
                  differences);
  }
}

bool Interception::told_of_rules() {
  auto const changed = rules_watch_ ? rules_watch_->drain() : true;
  return !changed || *changed;
}

void Interception::reload(Settings const &settings) {
  settings_ = settings;
  redirect_ = true;
}

void Interception::stop_watching() {
  watching_ = false;
  drift_timer_.cancel();
  if (address_events_) address_events_->cancel();
}

void Interception::close_listeners() {
  for (auto *listener : listeners_) listener->close();
}

std::vector<std::string> Interception::listening() const {
  std::vector<std::string> text;
  for (auto const *listener : listeners_) {
    text.push_back(listener->transport() == Transport::tcp ? listener->local().to_string() : *settings_.listen_unix);
  }
  return text;
}

}  // namespace imdsgate
