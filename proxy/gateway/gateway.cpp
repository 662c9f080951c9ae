#include "gateway/gateway.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "act/reply.hpp"
#include "act/watchdog.hpp"
#include "gateway/session.hpp"
#include "intercept/original_dst.hpp"
#include "report/host_info.hpp"

namespace imdsgate {

namespace asio = boost::asio;

namespace {
constexpr unsigned kTurningAway = 256;
constexpr auto kTurnAwayFor = std::chrono::seconds(1);

Admission::Caps caps_of(Limits const &limits) { return {limits.connections, limits.connections_per_uid}; }
UpstreamOptions upstream_of(Settings const &settings) { return {settings.mark, settings.connect_timeout}; }
}  // namespace

Gateway::Gateway(Parts parts, Settings const &settings, PolicySet policies)
    : parts_(std::move(parts)),
      mode_(settings.mode),
      policies_(std::move(policies)),
      limits_(settings.limits),
      idle_timeout_(settings.idle_timeout),
      pool_(parts_.loop.get_executor(), upstream_of(settings)),
      admission_(caps_of(settings.limits)),
      last_session_ended_(parts_.loop) {
  parts_.execs.use(policies_.of(mode_)->rules);
}

void Gateway::reload(Settings const &settings, PolicySet policies) {
  mode_ = settings.mode;
  policies_ = std::move(policies);
  parts_.execs.use(policies_.of(mode_)->rules);
  limits_ = settings.limits;
  idle_timeout_ = settings.idle_timeout;
  pool_.set_options(upstream_of(settings));
  admission_.set_caps(caps_of(settings.limits));
}

asio::awaitable<void> Gateway::accept_from(Listener &listener) {
  for (;;) {
    auto accepted = co_await listener.accept();
    if (!accepted) co_return;
    admit(std::move(accepted.value()));
  }
}

void Gateway::admit(Listener::Accepted accepted) {
  auto &[socket, flow] = accepted;
  Connection client(std::move(socket));
  if (auto const refusal = refusal_at_accept(flow, client.socket().native_handle())) {
    if (*refusal == Reason::self_loop) parts_.on_self_loop(flow);
    report_refused(flow, *refusal);
    return client.reset();
  }
  auto ticket = admission_.enter();
  auto const uid = ticket ? parts_.client_uid(flow, client.socket().native_handle()) : std::nullopt;
  // Whoever has the addresses now is the client as long as the connection stands: asked in this order. What the kernel
  // wrote down is about this connection, whatever became of it.
  if (flow.socket && !flow.recorded && client.was_reset()) flow.socket.reset();
  bool const within_users_limit = ticket && (!uid || ticket->claim(*uid));
  if (within_users_limit) {
    asio::co_spawn(parts_.loop, serve(*this, std::move(client), flow, std::move(*ticket)), asio::detached);
    return;
  }
  auto const reason = ticket ? Reason::limit_connections_per_uid : Reason::limit_connections;
  report_refused(flow, reason);
  if (turning_away_ >= kTurningAway) return client.reset();
  asio::co_spawn(parts_.loop, turn_away(std::move(client), reason), asio::detached);
}

asio::awaitable<void> Gateway::turn_away(Connection client, Reason reason) {
  ++turning_away_;
  Watchdog deadline(parts_.loop.get_executor(), [&client] { client.reset(); });
  deadline.expires_after(kTurnAwayFor);
  LocalReply reply;
  reply.provider = snapshot().policy->provider;
  reply.status = info(reason).status;
  reply.reason = name(reason);
  reply.date = std::chrono::system_clock::now();
  std::string const text = to_http(reply);
  auto const code = co_await client.write(text);
  if (!code) co_await close_lingering(client);
  --turning_away_;
}

// Whom this listener is not for. On AF_UNIX there is no address to ask about: it stands for the first endpoint.
std::optional<Reason> Gateway::refusal_at_accept(Flow &flow, int fd) {
  if (flow.transport == Transport::unix_socket) {
    flow.original = snapshot().policy->endpoints.front();
    return std::nullopt;
  }
  auto const original = original_destination(fd);
  // An upstream connection that the redirect sent back: with both its ends, because anybody may dial another guarded
  // address from the same port.
  if (original && pool_.owns(flow.client, *original)) return Reason::self_loop;
  if (!flow.client.address.is_loopback() && !local_addresses_.contains(flow.client.address)) {
    auto const bridge = std::ranges::find(bridges_, flow.local.address, &InterfaceAddress::address);
    if (bridge == bridges_.end()) return Reason::not_local;
    flow.bridge = bridge->interface;
  }
  if (!original || *original == flow.local) return Reason::not_redirected;
  if (!guarded(*original)) return Reason::not_guarded;
  flow.original = *original;
  return std::nullopt;
}

bool Gateway::guarded(Endpoint const &endpoint) const {
  auto const &endpoints = policies_.of(mode_)->endpoints;
  return std::find(endpoints.begin(), endpoints.end(), endpoint) != endpoints.end();
}

RequestEvent Gateway::new_event(Flow const &flow, Mode mode) const {
  RequestEvent event;
  event.time = std::chrono::system_clock::now();
  event.id = new_event_id();
  event.flow = flow;
  event.flow.unix_fd = -1;
  event.mode = mode;
  return event;
}

void Gateway::report_refused(Flow const &flow, Reason reason) {
  RequestEvent event = new_event(flow, mode_);
  event.action = Action::block;
  event.failure = reason;
  event.status = info(reason).status;
  parts_.sink.write(std::move(event));
}

Gateway::Enrolment::Enrolment(Gateway &gateway, std::function<void()> abort)
    : gateway_(gateway), place_(gateway.open_sessions_.insert(gateway.open_sessions_.end(), std::move(abort))) {}

Gateway::Enrolment::~Enrolment() {
  gateway_.open_sessions_.erase(place_);
  if (gateway_.open_sessions_.empty()) gateway_.last_session_ended_.cancel();
}

asio::awaitable<void> Gateway::drained(std::chrono::milliseconds at_most) {
  last_session_ended_.expires_after(at_most);
  while (!open_sessions_.empty()) {
    auto [code] = co_await last_session_ended_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!code) co_return;  // the time is over
  }
}

void Gateway::abort_sessions() {
  for (auto const &abort : open_sessions_) abort();
}

}  // namespace imdsgate
