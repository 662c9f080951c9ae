#include "act/forward.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>

#include "act/client_watch.hpp"
#include "act/framing.hpp"
#include "act/watchdog.hpp"

namespace imdsgate {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kResponseHeaderBytes = 64u << 10;

bool could_be_status_line(std::string_view bytes) {
  constexpr std::string_view start = "HTTP/1.";
  return bytes.substr(0, start.size()) == start.substr(0, bytes.size());
}

// What both directions of one exchange share. Lives in forward()'s frame, which outlives them.
class Exchange {
 public:
  Exchange(Connection &client, RequestParser &parser, UpstreamPool &pool, ForwardOptions const &options)
      : client_(client),
        parser_(parser),
        pool_(pool),
        options_(options),
        has_body_(!parser.is_done()),
        watchdog_(client.socket().get_executor(), [this] { cancel_upstream(); }),
        uploaded_(client.socket().get_executor(), asio::steady_timer::time_point::max()) {}

  asio::awaitable<void> run(ClientAlive alive);
  ForwardResult result;

 private:
  enum class Attempt { done, retry };
  asio::awaitable<bool> connect();
  asio::awaitable<Attempt> attempt(ClientAlive alive);
  asio::awaitable<void> upload();
  asio::awaitable<error_code> upload_decoded();
  asio::awaitable<void> download();
  asio::awaitable<bool> relay(ResponseFraming &framing, std::string_view bytes);
  void end_of_upstream(ResponseFraming &framing, error_code code);
  void fail(Reason reason, std::string detail = {});
  void cancel_upstream();

  Connection &client_;
  RequestParser &parser_;
  UpstreamPool &pool_;
  ForwardOptions const &options_;
  bool const has_body_;
  UpstreamPool::Lease upstream_;
  bool reused_ = false;
  bool upstream_spoke_ = false;
  bool upstream_keep_alive_ = false;
  bool uploading_ = false;
  bool relaying_ = false;  // an answer's bytes wait for the client to read
  bool awaiting_client_ = false;  // the upload waits for the client's body
  Watchdog watchdog_;
  asio::steady_timer uploaded_;  // cancelled when the upload ends: an event to wait for
};

// The first failure is the cause; what follows from it is not recorded.
void Exchange::fail(Reason reason, std::string detail) {
  if (result.failure) return;
  result.failure = reason;
  result.detail = std::move(detail);
}

void Exchange::cancel_upstream() {
  error_code ignored;  // closed already
  if (upstream_) upstream_->socket().cancel(ignored);
  if (uploading_ || relaying_) client_.socket().cancel(ignored);
}

asio::awaitable<bool> Exchange::connect() {
  if (options_.may_share && !reused_) {
    upstream_ = pool_.take_idle(options_.remote);
    reused_ = upstream_ != nullptr;
    if (upstream_) co_return true;
  }
  reused_ = false;
  auto connected = co_await pool_.connect(options_.remote, options_.as_root);
  if (!connected) {
    fail(connected.error().reason, connected.error().detail);
    co_return false;
  }
  upstream_ = std::move(connected.value());
  co_return true;
}

asio::awaitable<void> Exchange::run(ClientAlive alive) {
  bool connected = co_await connect();
  if (!connected) co_return;
  auto const first = co_await attempt(alive);
  if (first == Attempt::retry) {
    connected = co_await connect();
    if (connected) co_await attempt(alive);
  }
  result.reused = reused_;
  bool const complete = !result.failure && result.answered;
  result.keep_alive = complete && upstream_keep_alive_ && parser_.keep_alive() && parser_.is_done();
  if (complete && upstream_keep_alive_ && options_.may_share) pool_.give_back(std::move(upstream_));
}

asio::awaitable<Exchange::Attempt> Exchange::attempt(ClientAlive alive) {
  bool const was_reused = reused_;
  watchdog_.expires_after(options_.response_timeout);
  std::string const header = render_request_header(parser_.raw());
  result.sent = std::chrono::steady_clock::now();
  // A write that fails is not the end: the service may have answered before it closed. download() finds out.
  (void)co_await upstream_->write(header);
  if (has_body_) {
    uploading_ = true;
    asio::co_spawn(client_.socket().get_executor(), upload(), [this](std::exception_ptr failure) {
      if (failure) fail(Reason::upstream_reset, "upload");
      uploading_ = false;
      uploaded_.cancel();
    });
    co_await download();
    if (uploading_) {
      cancel_upstream();
      co_await uploaded_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  } else {
    ClientWatch const watch(client_, std::move(alive), [this] {
      fail(Reason::client_gone);
      cancel_upstream();
    });
    co_await download();
  }
  watchdog_.disarm();
  // Nothing came back on a connection that had idled: the service had closed it, and never read the request.
  bool const stale = was_reused && !has_body_ && !upstream_spoke_ && result.failure == Reason::upstream_reset;
  if (!stale) co_return Attempt::done;
  result.failure.reset();
  result.detail.clear();
  upstream_.reset();
  co_return Attempt::retry;
}

asio::awaitable<void> Exchange::upload() {
  parser_.eager(true);
  bool starved = client_.buffered().empty();
  while (!parser_.is_done()) {
    if (starved) {
      awaiting_client_ = true;
      auto const code = co_await client_.fill();
      // The answer came first, a deadline passed, or the session was told to end.
      if (code == asio::error::operation_aborted) co_return cancel_upstream();
      awaiting_client_ = false;
      if (code) {
        fail(Reason::client_gone, code.message());
        co_return cancel_upstream();
      }
    }
    error_code code;
    auto const bytes = client_.buffered();
    std::size_t const used = parser_.put(asio::buffer(bytes.data(), bytes.size()), code);
    client_.consume(used);
    starved = code == http::error::need_more || client_.buffered().empty();  // half a chunk's size may be left
    if (code == http::error::need_more) {
      code = {};
    } else if (code) {
      fail(code == http::error::body_limit ? Reason::limit_body_bytes : Reason::malformed_request, code.message());
    }
    if (!code) code = co_await upload_decoded();
    if (code) co_return cancel_upstream();
  }
  if (parser_.chunked()) co_await upstream_->write(kLastChunk);
}

asio::awaitable<error_code> Exchange::upload_decoded() {
  std::string data;
  data.swap(parser_.body());
  if (data.empty()) co_return error_code{};
  result.request_body_bytes += data.size();
  watchdog_.expires_after(options_.response_timeout);
  // A service that stopped reading may have answered: that its connection broke is seen by download().
  if (parser_.chunked()) data = render_chunk(data);
  auto const code = co_await upstream_->write(data);
  co_return code == asio::error::operation_aborted ? code : error_code{};
}

asio::awaitable<void> Exchange::download() {
  bool const head = parser_.raw().method == "HEAD";
  std::optional<ResponseFraming> framing(std::in_place, head, options_.reader);
  std::size_t parsed = 0;  // of what is buffered: a header is held back until it is whole
  bool starved = upstream_->buffered().empty();
  while (!result.failure) {
    error_code code;
    if (starved) code = co_await upstream_->fill();
    if (code) co_return end_of_upstream(*framing, code);
    upstream_spoke_ = true;
    watchdog_.expires_after(options_.idle_timeout);
    auto const bytes = upstream_->buffered();
    if (!framing->is_header_done() && !could_be_status_line(bytes)) {
      co_return fail(Reason::upstream_garbage, "not an HTTP/1 status line");
    }
    std::size_t const used = framing->put(asio::buffer(bytes.data() + parsed, bytes.size() - parsed), code);
    parsed += used;
    starved = code == http::error::need_more || parsed == bytes.size();
    if (code && code != http::error::need_more) co_return fail(Reason::upstream_garbage, code.message());
    if (framing->status() == 101) co_return fail(Reason::upstream_garbage, "101 to a request that offered nothing");
    if (bytes.size() - (framing->is_header_done() ? parsed : 0) > kResponseHeaderBytes) {
      co_return fail(Reason::upstream_garbage, "header too long");
    }
    if (!framing->is_header_done()) continue;
    bool const relayed = co_await relay(*framing, bytes.substr(0, parsed));
    if (!relayed) co_return;
    if (options_.reader) std::visit([](auto &reader) { reader.sent(); }, *options_.reader);
    upstream_->consume(std::exchange(parsed, 0));
    if (!framing->is_done()) continue;
    if (framing->status() / 100 == 1) {
      framing.emplace(head, options_.reader);  // 100 Continue and 103 go through; the answer is still to come
      starved = upstream_->buffered().empty();
      continue;
    }
    upstream_keep_alive_ = framing->keep_alive() && upstream_->buffered().empty();
    co_return;
  }
}

asio::awaitable<bool> Exchange::relay(ResponseFraming &framing, std::string_view bytes) {
  if (bytes.empty()) co_return true;
  if (framing.status() / 100 != 1) {
    result.answered = true;
    result.status = framing.status();
    result.response_body_bytes = framing.body_bytes();
  }
  relaying_ = true;
  auto const code = co_await client_.write(bytes);
  relaying_ = false;
  if (code) fail(Reason::client_gone, watchdog_.expired() ? "it does not read its answer" : code.message());
  co_return !code;
}

void Exchange::end_of_upstream(ResponseFraming &framing, error_code code) {
  if (watchdog_.expired()) return fail(awaiting_client_ ? Reason::body_timeout : Reason::upstream_timeout);
  if (code == asio::error::operation_aborted) return fail(Reason::client_gone);
  if (code == asio::error::eof && framing.is_header_done() && framing.need_eof()) {  // the length was the close
    error_code ignored;  // it is complete
    return framing.put_eof(ignored);
  }
  bool const cut_short = framing.is_header_done() || !upstream_->buffered().empty();
  fail(Reason::upstream_reset, cut_short ? "closed within its answer" : "closed without an answer");
}

}  // namespace

asio::awaitable<ForwardResult> forward(Connection &client, RequestParser &parser, UpstreamPool &pool,
                                       ForwardOptions options, ClientAlive client_alive) {
  Exchange exchange(client, parser, pool, options);
  co_await exchange.run(std::move(client_alive));
  co_return std::move(exchange.result);
}

}  // namespace imdsgate
