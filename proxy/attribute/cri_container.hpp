// What Kubernetes' Container Runtime Interface is asked of a container, and answers: containerd's and CRI-O's.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "attribute/unix_stream.hpp"
#include "model/process.hpp"
#include "model/result.hpp"

namespace imdsgate {

// ContainerStatus, on a connected stream, whose expiry ends the question. The answer may have `most` bytes.
boost::asio::awaitable<Result<ContainerDetails>> ask_cri(UnixStream &stream, std::string id, std::size_t most);

std::string container_status_request(std::string_view id);
// The answer to it. malformed: it is none, or of another container. Its labels are the kubelet's: an image's are not among
// them.
Result<ContainerDetails> parse_container_status(std::string const &message, std::string_view id);

}  // namespace imdsgate
