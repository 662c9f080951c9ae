// The kernel programs of bpf/attribute.bpf.c, loaded and attached, and what they wrote down. They see every
// connection to a guarded address in the network namespace they were loaded in, if wanted those of every other, too, and are
// gone with this object.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bpf/attribute_maps.h"
#include "model/address.hpp"
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
  // The socket of another network namespace whose SYN came from `client` with this sequence number; nullopt: none, or more
  // than one.
  std::optional<std::uint64_t> find_beyond(Endpoint const &client, Endpoint const &original, std::uint32_t syn) const;

  // nullopt: the socket has no connection to a guarded address, or none that was written down (made before
  // the programs were loaded, over its cgroup's quota, by MPTCP).
  std::optional<bpf_connection> find(std::uint64_t cookie) const;

  // The process that has this number now, with its parent; nullopt: none.
  std::optional<bpf_look> look(pid_t tgid) const;

  struct Counters {
    std::uint64_t recorded = 0;
    std::uint64_t refused_quota = 0;  // its cgroup has BPF_QUOTA connections already
    std::uint64_t refused_full = 0;
  };
  Counters counters() const;

 private:
  struct Loaded;
  explicit BpfConnections(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
  std::vector<bpf_guarded> guarded_;
};

}  // namespace imdsgate
