// Reads one request header from a client: finds its end, looks at the raw bytes for what Beast would forgive, parses.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>
#include <cstdint>

#include "act/connection.hpp"
#include "act/http_message.hpp"
#include "model/reason.hpp"

namespace imdsgate {

struct UnreadRequest {
  Reason reason;
  std::string detail;
  bool silent = false;  // the client closed between requests: nothing to answer, nothing to report
};
[[noreturn]] inline void throw_exception_from_error(UnreadRequest const &why, boost::source_location const &) {
  throw std::runtime_error(why.detail);
}

struct ReaderLimits {
  std::size_t header_bytes;
  std::uint64_t body_bytes;
};

// On success the parser holds the header and its bytes are consumed; the body, if any, is still to be read. The caller's
// watchdog cancels the socket when the header takes too long: the refusal is then header_timeout.
boost::asio::awaitable<boost::system::result<void, UnreadRequest>> read_request(Connection &client, RequestParser &parser,
                                                                          ReaderLimits limits);

// True when a whole header has arrived already, without waiting for one.
bool header_arrived(Connection &client);

}  // namespace imdsgate
