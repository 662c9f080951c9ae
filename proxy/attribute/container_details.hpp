// What a container runtime answers of one of its containers.
#pragma once

#include <string_view>

#include "model/process.hpp"
#include "model/result.hpp"

namespace imdsgate {

// The answer to GET /containers/ID/json of the Docker Engine API (docs.docker.com/reference/api/engine,
// "Inspect a container"), which podman's service has too. malformed: it is none, or of another container.
//
// The pod is the one of the labels that Kubernetes puts on its containers, where the container's name, which
// it makes of the same words, agrees: labels come with an image, too, and whoever made that is nobody to say
// whose pod it is.
Result<ContainerDetails> parse_container(std::string_view json, std::string_view id);

}  // namespace imdsgate
