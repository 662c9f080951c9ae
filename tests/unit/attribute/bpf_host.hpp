// A LiveHost with the BPF programs loaded for its service. A test is skipped, with the reason, where they do
// not load.
#pragma once

#include <optional>

#include "attribute/bpf_attributor.hpp"
#include "attribute/client_sockets.hpp"
#include "live_host.hpp"

namespace imdsgate::test {

class BpfHost : public LiveHost {
 protected:
  void SetUp() override;
  void TearDown() override;

  // The next connection, with its client's socket looked up, as the gateway does at accept.
  Flow accept_known();
  // Reads from the connection that was accepted last until `bytes` have come, ten seconds at most.
  void receive(std::size_t bytes);
  AttributionResult ask(Flow flow, std::uint64_t received);
  // One connection made by `child`, which sends `bytes`: accepted, received, and asked about.
  AttributionResult named_after(std::size_t bytes);

  std::optional<ClientSockets> sockets_;
  std::unique_ptr<BpfAttributor> bpf_;
  Flow flow_;  // of the last accept_known()
};

}  // namespace imdsgate::test
