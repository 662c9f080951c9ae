// Who a client was that had ended before it could be described: what the kernel wrote down while it connected, its own
// exec as it was told, or its parent, if it was a copy of it. On the gateway's loop, never blocking it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>

#include "attribute/boot.hpp"
#include "attribute/bpf_connections.hpp"
#include "attribute/bpf_identity.hpp"
#include "attribute/exec_events.hpp"
#include "attribute/prober_client.hpp"
#include "attribute/recent_lineages.hpp"

namespace imdsgate {

struct GoneClientsOptions {
  std::size_t cached = 4096;  // parents
  std::chrono::milliseconds describe_again{5000};
};

class GoneClients {
 public:
  // Both must outlive this.
  GoneClients(ProberClient &prober, BpfConnections const &connections, GoneClientsOptions options);
  void hear_of_execs(ExecEvents *events) { execs_ = events; }

  // nullptr: neither tells what the connector was when it connected. Its working directory is unknown.
  boost::asio::awaitable<LineagePtr> describe(bpf_connection connection, Deadline deadline);

 private:
  // Of which a copy is made: the parent, and whatever the child has otherwise.
  struct Family {
    explicit Family(bpf_connection const &connection);
    bool operator==(Family const &other) const { return same_task(parent, other.parent) && same_task(rights, other.rights) && cgroup == other.cgroup; }
    bpf_task parent, rights;
    std::uint64_t cgroup;
  };

  boost::asio::awaitable<LineagePtr> family_of(bpf_connection connection, Deadline deadline);
  boost::asio::awaitable<LineagePtr> orphaned(bpf_connection connection, Deadline deadline);
  ExecRecordPtr exec_of(bpf_task const &task, bpf_connection const &connection) const;

  ProberClient &prober_;
  BpfConnections const &connections_;
  GoneClientsOptions options_;
  ExecEvents *execs_ = nullptr;
  Boot const boot_;
  RecentLineages<Family> families_;
};

}  // namespace imdsgate
