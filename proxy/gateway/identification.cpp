#include "gateway/identification.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace imdsgate {

namespace asio = boost::asio;

namespace {
// What comes after the name has shares of the time that the name itself has.
std::chrono::milliseconds settle_within(Limits const &limits) { return limits.attribution_timeout / 3; }
std::chrono::milliseconds containers_within(Limits const &limits) { return limits.attribution_timeout / 2; }
}  // namespace

Identification::Identification(Sources sources, Flow flow, asio::any_io_executor executor,
                               std::function<bool()> was_reset)
    : sources_(sources),
      flow_(std::move(flow)),
      was_reset_(std::move(was_reset)),
      settled_(std::move(executor), asio::steady_timer::time_point::max()) {
  if (sources_.execs.rules().any()) arrival_.emplace(sources_.execs.rules(), LiveRules::Moment{flow_.accepted_steady, flow_.accepted});
}

asio::awaitable<AttributionResult> Identification::look(std::uint64_t received) {
  auto const before = std::chrono::steady_clock::now();
  auto result = co_await sources_.attributor.attribute(flow_, received);
  auto method = flow_.transport == Transport::tcp ? Attribution::Method::sock_diag : Attribution::Method::peercred;
  if (result) method = result->method;
  sources_.metrics.observe_attribution(method, std::chrono::steady_clock::now() - before);
  auto const deadline = std::chrono::steady_clock::now() + settle_within(sources_.limits);
  bool const settled = co_await sources_.execs.settled(deadline);
  // What the kernel wrote down is about this connection; everybody else was found by its addresses.
  bool const by_address = result && result->method != Attribution::Method::bpf;
  if (by_address && was_reset_()) result = Unattributed{Reason::socket_gone, "the client has reset the connection"};
  if (result) {
    auto const why = by_address && flow_.dialled_steady ? exec_since_dialled(*result, *flow_.dialled_steady, settled)
                                                       : exec_since(*result, flow_.accepted_steady);
    if (why) result = *why;
  }
  if (result) co_await ask_about_containers(result->holders);
  if (result && !evaluated_ && sources_.execs.rules().any()) evaluate(*result, settled);
  arrival_.reset();
  co_return result;
}

std::optional<Unattributed> Identification::exec_since(Attribution const &who, MonotonicTime time) const {
  bool const any = std::ranges::any_of(
      who.holders, [&](LineagePtr const &holder) { return sources_.execs.has_exec_after(holder->process, time); });
  if (!any) return std::nullopt;
  return Unattributed{Reason::holder_uncertain, "a holder has exec'd since it connected"};
}

// Who ran when it was dialled is known by nothing else than that there was no exec since.
std::optional<Unattributed> Identification::exec_since_dialled(Attribution const &who, MonotonicTime dialled,
                                                               bool settled) const {
  if (auto const why = exec_since(who, dialled)) return why;
  bool const later = at_accept_.has_value();  // and the same holders as then, or it is nobody
  if (later || (settled && !sources_.execs.may_miss_exec_after(dialled))) return std::nullopt;
  return Unattributed{Reason::holder_uncertain, "whether a holder has exec'd since it connected was not told"};
}

void Identification::evaluate(Attribution const &who, bool settled) {
  evaluated_ = true;
  auto &execs = sources_.execs;
  std::string const endpoint = flow_.original.to_string();
  auto const known = with_execs(who);
  sequences_ = execs.rules().connected({flow_.accepted_steady, flow_.accepted}, known, endpoint);
  missing_execs_ = settled ? execs.missing(known, flow_.accepted_steady) : MissingExecs::lost;
}

// Only of those whose id is proven: nobody has himself taken for another's container by naming a cgroup after it.
asio::awaitable<void> Identification::ask_about_containers(std::vector<LineagePtr> holders) {
  if (sources_.containers == nullptr) co_return;
  auto const until = std::chrono::steady_clock::now() + containers_within(sources_.limits);
  for (auto const &holder : holders) {
    if (lacks_container(holder) && !container_of(holder->process)) {
      co_await sources_.containers->ask(*holder->process.container_id, until);
    }
  }
}

bool Identification::lacks_container(LineagePtr const &holder) const {
  auto const &process = holder->process;
  return sources_.containers != nullptr && process.container_id && process.container_proven && !process.container;
}

std::shared_ptr<ContainerDetails const> Identification::container_of(Process const &process) const {
  return sources_.containers->find(*process.container_id);
}

LineagePtr Identification::with_all_known(LineagePtr const &holder) const {
  auto known = sources_.execs.with_exec(holder);
  auto details = lacks_container(known) ? container_of(known->process) : nullptr;
  if (!details) return known;
  Lineage more = *known;
  more.process.container = std::move(details);
  return std::make_shared<Lineage const>(std::move(more));
}

// The same processes are looked up once: an exec in between would have ended their being named.
Attribution Identification::with_execs(Attribution const &who) {
  Attribution result = who;
  bool const lacks = std::ranges::any_of(with_execs_, [this](auto const &holder) { return lacks_container(holder); });
  if (who.holders != looked_up_ || lacks) {
    looked_up_ = with_execs_ = who.holders;
    for (auto &holder : with_execs_) holder = with_all_known(holder);
  }
  result.holders = with_execs_;
  return result;
}

void Identification::look_at_accept(std::function<void()> on_done) {
  looking_ = true;
  asio::co_spawn(
      settled_.get_executor(), look(0),
      [this, on_done = std::move(on_done)](std::exception_ptr failure, AttributionResult result) {
        looking_ = false;
        if (failure) result = Unattributed{Reason::prober_unavailable, "the attributor threw"};
        at_accept_ = std::move(result);
        settled_.cancel();
        on_done();
      });
}

asio::awaitable<void> Identification::settled() {
  while (looking_) co_await settled_.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<AttributionResult> Identification::look_at_request(std::uint64_t received) {
  co_await settled();
  auto now = co_await look(received);
  if (!at_accept_) {
    at_accept_ = now;
    if (now) now = with_execs(*now);
    co_return now;
  }
  if (!now) co_return now;
  if (now->method == Attribution::Method::bpf) co_return with_execs(*now);
  if (!*at_accept_) {
    co_return Unattributed{Reason::holder_uncertain, "at accept: " + at_accept_->error().detail};
  }
  if (!same_holders(at_accept_->value(), now.value())) {
    co_return Unattributed{Reason::holder_uncertain, "the holders at accept and at the request differ"};
  }
  co_return with_execs(*now);
}

}  // namespace imdsgate
