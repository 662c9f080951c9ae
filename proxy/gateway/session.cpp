#include "gateway/session.hpp"

#include <boost/asio/steady_timer.hpp>

#include "act/forward.hpp"
#include "act/reply.hpp"
#include "act/request_reader.hpp"
#include "act/watchdog.hpp"
#include "decide/decide.hpp"
#include "gateway/gateway.hpp"
#include "gateway/identification.hpp"
#include "gateway/patience.hpp"
#include "gateway/root_dialler.hpp"
#include "report/ecs.hpp"

namespace imdsgate {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kPartialAlertAfter = std::chrono::seconds(5);  // interfaces §4
constexpr auto kWithTheConnection = std::chrono::microseconds(300);  // about what accept() itself may be late by
constexpr auto kLinger = std::chrono::seconds(1);

class Session {
 public:
  Session(Gateway &gateway, Connection client, Flow flow, Admission::Ticket ticket);
  asio::awaitable<void> run();

 private:
  enum class Next { another, none };
  asio::awaitable<bool> wait_for_bytes();
  asio::awaitable<Next> serve_one();
  asio::awaitable<Next> decide_and_act(RequestParser &parser, Gateway::Snapshot snapshot, AttributionResult who);
  Decision decide_on(Policy const &policy, RequestEvent const &event);
  asio::awaitable<Next> forward_request(RequestParser &parser, RequestEvent &event, Policy const &policy);
  asio::awaitable<void> answer(RequestEvent const &event, std::string_view reason, std::string const &method);
  asio::awaitable<Next> refuse(RequestParser &parser, Reason reason, std::string detail = {});
  std::optional<uid_t> socket_uid(std::optional<Attribution> const &who) const;
  void over_the_users_limit();
  void report(RequestEvent event);

  Gateway &gateway_;
  Connection client_;
  Flow const flow_;
  Admission::Ticket ticket_;
  Identification identification_;
  std::optional<Reason> forced_refusal_;  // decided while the request was still being read
  Clock::time_point started_ = Clock::now();
  bool first_ = true;
  Watchdog watchdog_;
  Gateway::Enrolment enrolment_;
};

Session::Session(Gateway &gateway, Connection client, Flow flow, Admission::Ticket ticket)
    : gateway_(gateway),
      client_(std::move(client)),
      flow_(std::move(flow)),
      ticket_(std::move(ticket)),
      identification_({gateway.parts().attributor, gateway.parts().execs, gateway.parts().metrics, gateway.limits(),
                       gateway.parts().containers},
                      flow_, client_.socket().get_executor(), [this] { return client_.was_reset(); }),
      watchdog_(client_.socket().get_executor(),
                [this] {
                  boost::system::error_code ignored;
                  client_.socket().cancel(ignored);
                }),
      enrolment_(gateway, [this] { client_.reset(); }) {}

asio::awaitable<void> Session::run() {
  // A request that comes with the connection needs one look at who asks; otherwise who connected may not be who asks,
  // and both are looked at.
  if (!header_arrived(client_)) co_await client_.readable_within(kWithTheConnection);
  if (!header_arrived(client_)) {
    identification_.look_at_accept([this] {
      auto const &who = identification_.at_accept();
      if (*who && !ticket_.claim(who->value().socket_uid)) over_the_users_limit();
    });
  }
  for (Next next = Next::another; next == Next::another; first_ = false) {
    bool const there = co_await wait_for_bytes();
    if (!there) break;
    next = co_await serve_one();
  }
  co_await identification_.settled();
}

void Session::over_the_users_limit() {
  forced_refusal_ = Reason::limit_connections_per_uid;
  boost::system::error_code ignored;
  client_.socket().cancel(ignored);
}

// Between requests a client may be silent for long; within one it may not.
asio::awaitable<bool> Session::wait_for_bytes() {
  if (!first_ && client_.buffered().empty()) {
    watchdog_.expires_after(gateway_.idle_timeout());
    auto const code = co_await client_.fill();
    if (code) co_return false;
  }
  started_ = Clock::now();
  watchdog_.expires_after(gateway_.limits().header_timeout);
  co_return true;
}

asio::awaitable<Session::Next> Session::serve_one() {
  RequestParser parser;
  auto const &limits = gateway_.limits();
  auto const read = co_await read_request(client_, parser, {limits.header_bytes, limits.body_bytes});
  watchdog_.disarm();
  if (forced_refusal_) co_return co_await refuse(parser, *forced_refusal_);
  if (!read && read.error().silent && !first_) co_return Next::none;
  if (!read) co_return co_await refuse(parser, read.error().reason, read.error().detail);
  if (parser.raw().version == 10 && parser.is_done() && !client_.buffered().empty()) {
    co_return co_await refuse(parser, Reason::data_after_http10);
  }
  // Dialled by uid 0's helper, it was not known for our own when it was accepted.
  if (gateway_.pool().owns(flow_.client, flow_.original)) {
    gateway_.parts().on_self_loop(flow_);
    co_return co_await refuse(parser, Reason::self_loop);
  }
  auto who = co_await identification_.look_at_request(client_.received());
  if (who && !ticket_.claim(who->socket_uid)) {
    co_return co_await refuse(parser, Reason::limit_connections_per_uid);
  }
  co_return co_await decide_and_act(parser, gateway_.snapshot(), std::move(who));
}

asio::awaitable<Session::Next> Session::decide_and_act(RequestParser &parser, Gateway::Snapshot snapshot,
                                                       AttributionResult who) {
  std::optional<Endpoint> dialled;
  if (flow_.transport == Transport::tcp) dialled = flow_.original;
  auto request = canonicalize(*snapshot.policy, parser.raw(), dialled);
  if (!request) co_return co_await refuse(parser, request.error().reason, request.error().detail);

  RequestEvent event = gateway_.new_event(flow_, snapshot.mode);
  event.raw = parser.raw();
  event.request = std::move(request.value());
  event.flow.original = event.request->endpoint;  // on AF_UNIX the first of a policy that may have been reloaded
  if (who) {
    event.attribution = std::move(who.value());
  } else {
    event.unattributed = who.error().reason;
    event.failure_detail = who.error().detail;
  }
  event.decision = decide_on(*snapshot.policy, event);
  event.action = enforce(event.decision, snapshot.mode);

  Next next = Next::none;
  switch (event.action) {
    case Action::forward:
      gateway_.history().forwarded(event, started_);
      next = co_await forward_request(parser, event, *snapshot.policy);
      break;
    case Action::block: {
      event.status = event.decision.block_status;
      gateway_.history().answered(event, started_);
      report(event);  // a block is told at once
      co_await answer(event, event.decision.findings.front().name, parser.raw().method);
      co_return Next::none;
    }
  }
  gateway_.history().answered(event, started_);
  report(std::move(event));
  co_return gateway_.draining() ? Next::none : next;
}

Decision Session::decide_on(Policy const &policy, RequestEvent const &event) {
  std::string const endpoint = event.request->endpoint.to_string();
  AccessRequest access{*event.request, event.attribution ? &*event.attribution : nullptr, event.unattributed, endpoint,
                       event.time};
  auto &execs = gateway_.parts().execs;
  std::vector<SequenceMatchPtr> sequences = identification_.sequences();
  if (event.attribution && execs.rules().take_requests()) {
    auto const now = ExecContext::moment(Clock::now());
    auto completed = execs.rules().requested(now, *event.attribution, endpoint, *event.request);
    sequences.insert(sequences.begin(), completed.begin(), completed.end());
  }
  access.host = &execs.host();
  access.socket_uid = socket_uid(event.attribution);
  access.crossed_namespace = !flow_.bridge.empty();
  access.sequences = sequences;
  access.missing_execs = identification_.missing_execs();
  std::vector<TokenMinters> tokens;
  gateway_.history().look(policy, event, gateway_.limits().requests_per_second, started_, access, tokens);
  return decide(policy, access);
}

// Who created the client's socket, as far as it is known.
std::optional<uid_t> Session::socket_uid(std::optional<Attribution> const &who) const {
  if (flow_.socket) return flow_.socket->uid;
  return who ? std::optional<uid_t>(who->socket_uid) : std::nullopt;
}

asio::awaitable<Session::Next> Session::forward_request(RequestParser &parser, RequestEvent &event, Policy const &policy) {
  // An alert about a long poll is told early, once, and again with its status at the end.
  auto const answering = std::make_shared<RequestEvent *>(&event);
  asio::steady_timer early(client_.socket().get_executor(), kPartialAlertAfter);
  if (event.decision.verdict != Verdict::allow) {
    early.async_wait([this, answering](boost::system::error_code) {
      if (*answering == nullptr) return;  // answered, perhaps in the same turn of the loop
      RequestEvent partial = **answering;
      partial.partial = true;
      report(std::move(partial));
    });
  }
  auto const &method = event.request->method;
  bool const may_share = parser.is_done() && (method == "GET" || method == "HEAD" || event.request->token_request);
  // Root's own requests alone go upstream as root's, and no container's root: the host's rule judges every other by our
  // uid, as it always did.
  bool const wireserver = is_wireserver(event.request->endpoint);
  bool const as_root = wireserver && flow_.bridge.empty() && socket_uid(event.attribution) == 0u;
  auto const reader = gateway_.history().reader_for(policy, event);
  ForwardOptions const options{event.request->endpoint, gateway_.idle_timeout(),
                               response_timeout(*event.request, gateway_.idle_timeout()),
                               may_share && as_root == wireserver, as_root, reader.get()};
  auto const &alive = gateway_.parts().client_alive;
  ClientAlive const still_there = [this, &alive] { return alive(flow_); };
  auto const result = co_await forward(client_, parser, gateway_.pool(), options, still_there);
  *answering = nullptr;
  early.cancel();
  event.status = result.status;
  event.request_body_bytes = result.request_body_bytes;
  event.response_body_bytes = result.response_body_bytes;
  if (auto *ledger = reader ? std::get_if<CredentialReader>(reader.get()) : nullptr) {
    event.credential = ledger->credential(*event.request, event.time);
  }
  event.failure = result.failure;
  if (!result.detail.empty()) event.failure_detail = result.detail;
  if (result.reused) gateway_.parts().metrics.count_upstream_reused();
  if (result.sent) gateway_.parts().metrics.observe_added(*result.sent - started_);
  if (!result.failure) {
    if (!result.keep_alive) co_await close_lingering(client_);
    co_return result.keep_alive ? Next::another : Next::none;
  }
  if (result.answered) {
    client_.reset();  // a cut-off answer must not look complete
  } else if (info(*result.failure).status != 0) {
    event.status = info(*result.failure).status;
    co_await answer(event, name(*result.failure), parser.raw().method);
  }
  co_return Next::none;
}

// What could not be read as a request, or came over a limit: answered when it has a status, reported always.
asio::awaitable<Session::Next> Session::refuse(RequestParser &parser, Reason reason, std::string detail) {
  RequestEvent event = gateway_.new_event(flow_, gateway_.mode());
  if (!parser.raw().method.empty()) event.raw = parser.raw();
  co_await identification_.settled();
  if (!identification_.at_accept()) co_await identification_.look_at_request(client_.received());
  if (auto const &who = identification_.at_accept()) {
    if (*who) {
      event.attribution = who->value();
    } else {
      event.unattributed = who->error().reason;
    }
  }
  event.failure = reason;
  event.failure_detail = std::move(detail);
  event.action = Action::block;
  event.status = info(reason).status;
  report(event);
  if (event.status != 0) co_await answer(event, name(reason), parser.raw().method);
  co_return Next::none;
}

asio::awaitable<void> Session::answer(RequestEvent const &event, std::string_view reason, std::string const &method) {
  LocalReply reply;
  auto const policy = gateway_.snapshot().policy;
  auto const *service = service_at(*policy, event.flow.original);
  reply.provider = service ? service->provider : policy->provider;
  reply.status = event.status;
  reply.reason = reason;
  std::string const alert = event.decision.verdict == Verdict::allow ? "" : alert_id(event.id);
  reply.alert = alert;
  reply.head = method == "HEAD";
  reply.date = event.time;
  watchdog_.expires_after(kLinger);
  std::string const text = to_http(reply);
  auto const code = co_await client_.write(text);
  if (!code) co_await close_lingering(client_);
}

void Session::report(RequestEvent event) {
  event.duration = Clock::now() - started_;
  gateway_.parts().sink.write(std::move(event));
}

}  // namespace

asio::awaitable<void> serve(Gateway &gateway, Connection client, Flow flow, Admission::Ticket ticket) {
  Session session(gateway, std::move(client), std::move(flow), std::move(ticket));
  co_await session.run();
}

}  // namespace imdsgate
