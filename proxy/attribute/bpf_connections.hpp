// The kernel programs of bpf/attribute.bpf.c, loaded and attached, and what they wrote down. They see every
// connection to a guarded address in the network namespace they were loaded in, if wanted those of every other, too, and are
// gone with this object.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bpf/attribute_maps.h"
#include "model/address.hpp"
#include "model/flow.hpp"
#include "model/result.hpp"

namespace imdsgate {

class BpfConnections {
 public:
  // Needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, which nothing later needs; a kernel with BTF (tried on
  // Linux 6.18); the initial pid namespace; a cgroup2 mount. The error says which is missing. Takes about 0.1
  // s.
  static Result<std::unique_ptr<BpfConnections>> load(std::vector<Endpoint> const &guarded);
  ~BpfConnections();
  BpfConnections(BpfConnections const &) = delete;
  BpfConnections &operator=(BpfConnections const &) = delete;

  // Other endpoints from now on. Connections to those that are guarded no more keep their entries.
  Result<void> guard(std::vector<Endpoint> const &endpoints);

  // Connections that begin from now on in other network namespaces are written down.
  void record_every_namespace(bool every);
  bool records_every_namespace() const;

  // Whose record an accepted connection's client has; the kernel joined them when it was established. nullopt: it dialled
  // no guarded address, or was not written down (made before the programs were loaded, over its cgroup's quota, by MPTCP).
  std::optional<ConnectionId> client_of(int accepted) const;
  // The record stays until both ends are closed. nullopt: there is none (any more).
  std::optional<bpf_connection> find(ConnectionId const &id) const;
  // Removes the records of connections that the client closed that long ago: of those that nobody accepted nothing else
  // tells when they may go. How many there were.
  std::uint64_t forget_closed(std::chrono::nanoseconds ago);

  // Was a connection left without a record then or later, for want of room?
  bool refused_since(std::chrono::steady_clock::time_point time) const;

  // The process that has this number now, with its parent; nullopt: none.
  std::optional<bpf_look> look(pid_t tgid) const;
  // Is this process there, whatever it runs now?
  bool lives(bpf_task const &task) const;

  struct Counters {
    std::uint64_t recorded = 0;
    std::uint64_t refused_quota = 0;  // its cgroup has BPF_QUOTA connections already
    std::uint64_t refused_full = 0;   // or the socket has no room for it
    std::uint64_t forgotten = 0;  // forget_closed()
  };
  Counters counters() const;

 private:
  struct Loaded;
  explicit BpfConnections(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
  std::vector<bpf_guarded> guarded_;
  std::uint64_t forgotten_ = 0;
};

}  // namespace imdsgate
