#include "attribute/container_runtime.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "attribute/cri_container.hpp"

namespace imdsgate {
namespace {

namespace asio = boost::asio;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

ContainerRuntime::ContainerRuntime(asio::any_io_executor loop, ContainerApi api, std::string socket, Options options)
    : loop_(std::move(loop)), api_(api), socket_(std::move(socket)), options_(options) {}

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
  UnixStream stream(loop_);
  stream.expires_after(options_.deadline);
  asio::local::stream_protocol::endpoint const endpoint(socket_);
  auto const connected = co_await stream.async_connect(endpoint, kTuple);
  if (auto const code = std::get<0>(connected)) co_return stream_failure("connect", code);
  switch (api_) {
    case ContainerApi::docker: co_return co_await docker_.ask(stream, std::move(id), options_.answer_bytes);
    case ContainerApi::cri: co_return co_await ask_cri(stream, std::move(id), options_.answer_bytes);
  }
  co_return Error{Errc::system, "no such API"};
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
