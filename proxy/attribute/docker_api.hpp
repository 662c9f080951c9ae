// The Docker Engine API, which podman's service has too: HTTP on a UNIX socket.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <string>

#include "attribute/unix_stream.hpp"
#include "model/process.hpp"
#include "model/result.hpp"

namespace imdsgate {

class DockerApi {
 public:
  // On a connected stream, whose expiry ends the question. No answer may have more than `most` bytes.
  boost::asio::awaitable<Result<ContainerDetails>> ask(UnixStream &stream, std::string id, std::size_t most);

 private:
  std::string version_;  // of the API, as the runtime said: "/v1.43"
};

}  // namespace imdsgate
