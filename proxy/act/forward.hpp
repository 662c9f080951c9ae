// One exchange with the metadata service: the request rebuilt from what was parsed, the response's bytes as they came.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "act/connection.hpp"
#include "act/http_message.hpp"
#include "act/upstream_pool.hpp"
#include "model/address.hpp"
#include "model/reason.hpp"
#include "model/request.hpp"

namespace imdsgate {

struct ForwardOptions {
  Endpoint remote;
  std::chrono::milliseconds idle_timeout;      // without a byte from upstream, once the answer has begun
  std::chrono::milliseconds response_timeout;  // until the answer begins; long polls ask for more
  bool may_share = false;                      // an upstream connection that served, or will serve, other clients may be used
  bool as_root = false;                        // upstream has to see a connection of uid 0
  AnswerReader *reader = nullptr;              // of whom the answer is of interest; outlives the exchange
};

struct ForwardResult {
  int status = 0;                    // of the final response; 0: none came
  std::optional<Reason> failure;     // why the exchange is not complete
  std::string detail;
  bool answered = false;             // bytes of the response have reached the client: no other answer is possible
  bool reused = false;               // on an upstream connection that had served another exchange
  bool keep_alive = false;           // the client's connection may carry another request
  std::uint64_t request_body_bytes = 0;
  std::uint64_t response_body_bytes = 0;
  std::optional<std::chrono::steady_clock::time_point> sent;  // the first byte went upstream
};

// Is the client's end still held by someone? Asked when its stream ended: a half-closed client still wants its answer.
using ClientAlive = std::function<bool()>;

// References outlive the coroutine: they are the session's.
boost::asio::awaitable<ForwardResult> forward(Connection &client, RequestParser &parser, UpstreamPool &pool,
                                              ForwardOptions options, ClientAlive client_alive);

}  // namespace imdsgate
