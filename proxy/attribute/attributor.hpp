// Who holds the client's end of a connection. One of the project's two virtual interfaces: prober_client.hpp
// answers by asking the prober process, bpf_attributor.hpp from what the kernel wrote down where it can,
// tests answer from a table.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>

#include "model/flow.hpp"
#include "model/process.hpp"
#include "model/reason.hpp"

namespace imdsgate {

struct Unattributed {
  Reason reason;       // one of the attribution reasons of model/reason.hpp
  std::string detail;  // for the event's error.message
};
[[noreturn]] inline void throw_exception_from_error(Unattributed const &why, boost::source_location const &) {
  throw std::runtime_error(why.detail);
}
using AttributionResult = boost::system::result<Attribution, Unattributed>;

class Attributor {
 public:
  virtual ~Attributor() = default;

  // Answers within its own deadline, always; never a guess. Runs on the loop and does not block it. `flow` by
  // value: the connection may be gone before the answer comes. `received`: the bytes read from the client so
  // far; the answer is about whoever sent them, where that can be told, else about whoever holds the socket
  // now.
  virtual boost::asio::awaitable<AttributionResult> attribute(Flow flow, std::uint64_t received) = 0;
};

// The same connection, asked twice (accept and request, or two requests): the same socket, the same holders,
// and none of them has exec'd. False means that nobody may be named.
bool same_holders(Attribution const &before, Attribution const &now);

}  // namespace imdsgate
