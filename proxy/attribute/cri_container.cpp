#include "attribute/cri_container.hpp"

#include "attribute/grpc_call.hpp"
#include "cri.pb.h"

namespace imdsgate {
namespace {

constexpr char kContainerStatus[] = "/runtime.v1.RuntimeService/ContainerStatus";

std::optional<std::string> label(runtime::v1::ContainerStatus const &status, char const *name) {
  auto const found = status.labels().find(name);
  return found == status.labels().end() || found->second.empty() ? std::nullopt : std::optional(found->second);
}

}  // namespace

boost::asio::awaitable<Result<ContainerDetails>> ask_cri(UnixStream &stream, std::string id, std::size_t most) {
  auto const answer = co_await grpc_call(stream, kContainerStatus, container_status_request(id), most);
  if (!answer) co_return answer.error();
  co_return parse_container_status(*answer, id);
}

std::string container_status_request(std::string_view id) {
  runtime::v1::ContainerStatusRequest request;
  request.set_container_id(std::string(id));
  return request.SerializeAsString();
}

Result<ContainerDetails> parse_container_status(std::string const &message, std::string_view id) {
  runtime::v1::ContainerStatusResponse response;
  if (!response.ParseFromString(message)) return Error{Errc::malformed, "its answer is no ContainerStatusResponse"};
  auto const &status = response.status();
  if (status.id() != id) return Error{Errc::malformed, "its answer is about another container"};
  ContainerDetails details;
  details.image = status.image().image();
  details.name = status.metadata().name();
  if (details.name.empty() || details.image.empty()) return Error{Errc::malformed, "its answer has no name or no image"};
  auto pod = label(status, "io.kubernetes.pod.name"), space = label(status, "io.kubernetes.pod.namespace");
  if (pod && space) {
    details.pod = std::move(pod);
    details.pod_namespace = std::move(space);
  }
  return details;
}

}  // namespace imdsgate
