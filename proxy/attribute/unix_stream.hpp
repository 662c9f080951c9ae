// A UNIX socket with a deadline.
#pragma once

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <string>

#include "model/result.hpp"

namespace imdsgate {

using UnixStream = boost::beast::basic_stream<boost::asio::local::stream_protocol>;

inline Error stream_failure(char const *what, boost::system::error_code code) {
  return {Errc::system, std::string(what) + ": " + code.message()};
}

}  // namespace imdsgate
