// One unary call of gRPC, over HTTP/2 without TLS on a UNIX socket, as container runtimes serve it
// (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <string>

#include "attribute/unix_stream.hpp"
#include "model/result.hpp"

namespace imdsgate {

// `stream` is connected, and used for this call only; its expiry ends the call. `path` is "/package.Service/Method". The
// answer's message, or an error: not_found and refused as the server says so, malformed, too_large: more than `most` bytes;
// system: the stream's.
boost::asio::awaitable<Result<std::string>> grpc_call(UnixStream &stream, std::string path, std::string request,
                                                      std::size_t most);

}  // namespace imdsgate
