#include "attribute/container_runtime.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "attribute/container_details.hpp"

namespace imdsgate {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Stream = beast::basic_stream<asio::local::stream_protocol>;
using Answer = http::response<http::string_body>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

Error failed(char const *what, boost::system::error_code code) {
  return {Errc::system, std::string(what) + ": " + code.message()};
}

asio::awaitable<Result<Answer>> get(Stream &stream, std::string target, std::size_t most) {
  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, "localhost");  // Go's server wants one
  auto const written = co_await http::async_write(stream, request, kTuple);
  if (auto const code = std::get<0>(written)) co_return failed("write", code);
  http::response_parser<http::string_body> parser;
  parser.body_limit(most);
  beast::flat_buffer buffer;
  auto const read = co_await http::async_read(stream, buffer, parser, kTuple);
  if (auto const code = std::get<0>(read)) co_return failed("read", code);
  co_return parser.release();
}

// "v1.43/"; a runtime that does not say is asked without, for its own.
std::string version_in(Answer const &pong) {
  auto const value = pong["Api-Version"];
  std::string_view const version(value.data(), value.size());
  bool const is_one =
      !version.empty() && version.size() <= 8 && version.find_first_not_of("0123456789.") == version.npos;
  return is_one ? "/v" + std::string(version) : std::string();
}

}  // namespace

ContainerRuntime::ContainerRuntime(asio::any_io_executor loop, std::string socket, Options options)
    : loop_(std::move(loop)), socket_(std::move(socket)), options_(options) {}

std::shared_ptr<ContainerDetails const> ContainerRuntime::find(std::string const &id) const {
  auto const known = known_.find(id);
  return known == known_.end() ? nullptr : known->second.details;
}

asio::awaitable<void> ContainerRuntime::ask(std::string id, Clock::time_point until) {
  if (known_.size() >= options_.kept && !known_.contains(id)) make_room();
  auto &known = known_[id];
  if (known.details || (!known.asked && Clock::now() < known.again)) co_return;
  if (!known.asked && asking_ >= options_.questions) {
    ++counters_.refused;
    co_return;
  }
  if (!known.asked) {
    known.asked = true;
    ++asking_;
    asio::co_spawn(loop_, question(id),
                   [this, id](std::exception_ptr failure, Result<ContainerDetails> answer) {
                     if (failure) answer = Error{Errc::system, "the question threw"};
                     answered(id, std::move(answer));
                   });
  }
  asio::steady_timer timer(loop_, until);
  known.waiting.push_back(&timer);
  auto const waited = co_await timer.async_wait(kTuple);
  if (std::get<0>(waited)) co_return;  // answered
  // Still asked, so it is still there.
  if (auto const place = known_.find(id); place != known_.end()) std::erase(place->second.waiting, &timer);
}

asio::awaitable<Result<ContainerDetails>> ContainerRuntime::question(std::string id) {
  Stream stream(loop_);
  stream.expires_after(options_.deadline);
  asio::local::stream_protocol::endpoint const endpoint(socket_);
  auto const connected = co_await stream.async_connect(endpoint, kTuple);
  if (auto const code = std::get<0>(connected)) co_return failed("connect", code);
  if (version_.empty()) {
    auto pong = co_await get(stream, "/_ping", options_.answer_bytes);
    if (!pong) co_return pong.error();
    version_ = version_in(*pong);
  }
  std::string const target = version_ + "/containers/" + id + "/json";
  auto const answer = co_await get(stream, target, options_.answer_bytes);
  if (!answer) co_return answer.error();
  if (answer->result() == http::status::not_found)
    co_return Error{Errc::not_found, "it has no such container"};
  if (answer->result() != http::status::ok) {
    version_.clear();  // it may be another by now
    co_return Error{Errc::refused, "it answers " + std::to_string(answer->result_int())};
  }
  co_return parse_container(answer->body(), id);
}

void ContainerRuntime::answered(std::string const &id, Result<ContainerDetails> answer) {
  --asking_;
  auto &known = known_[id];
  known.asked = false;
  known.again = Clock::now() + options_.again;
  if (answer) {
    ++counters_.answered;
    told_ = false;
    known.details = std::make_shared<ContainerDetails const>(*std::move(answer));
  } else if (answer.error().code == Errc::not_found) {
    ++counters_.unknown;
  } else {
    ++counters_.failed;
    if (!std::exchange(told_, true) && on_failure) on_failure(socket_ + ": " + answer.error().detail);
  }
  for (auto *timer : std::exchange(known.waiting, {})) timer->cancel();
}

void ContainerRuntime::make_room() {
  std::erase_if(known_, [](auto const &each) { return !each.second.asked; });
}

}  // namespace imdsgate
