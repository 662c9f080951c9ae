#pragma once

namespace imdsgate {

// By what a container runtime is asked: the Docker Engine API, or Kubernetes' Container Runtime Interface.
enum class ContainerApi { docker, cri };

}  // namespace imdsgate
