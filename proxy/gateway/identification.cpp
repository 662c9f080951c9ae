#include "gateway/identification.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace imdsgate {

namespace asio = boost::asio;

Identification::Identification(Attributor &attributor, Metrics &metrics, Flow flow, asio::any_io_executor executor)
    : attributor_(attributor),
      metrics_(metrics),
      flow_(std::move(flow)),
      settled_(std::move(executor), asio::steady_timer::time_point::max()) {}

asio::awaitable<AttributionResult> Identification::look(std::uint64_t received) {
  auto const before = std::chrono::steady_clock::now();
  auto result = co_await attributor_.attribute(flow_, received);
  auto method = flow_.transport == Transport::tcp ? Attribution::Method::sock_diag : Attribution::Method::peercred;
  if (result) method = result->method;
  metrics_.observe_attribution(method, std::chrono::steady_clock::now() - before);
  co_return result;
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
    co_return now;
  }
  if (!now || now->method == Attribution::Method::bpf) co_return now;
  if (!*at_accept_) {
    co_return Unattributed{Reason::holder_uncertain, "at accept: " + at_accept_->error().detail};
  }
  if (!same_holders(at_accept_->value(), now.value())) {
    co_return Unattributed{Reason::holder_uncertain, "the holders at accept and at the request differ"};
  }
  co_return now;
}

}  // namespace imdsgate
