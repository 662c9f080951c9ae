// Everything that tells who asks: the clients' sockets, the prober, the tier, exec events, and what was proven of
// processes, which outlives the daemon. Opened once, at start; on the loop, which outlives it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "attribute/client_sockets.hpp"
#include "attribute/container_runtime.hpp"
#include "attribute/prober_client.hpp"
#include "gateway/attribution_tier.hpp"
#include "gateway/exec_context.hpp"
#include "gateway/exec_feed.hpp"
#include "gateway/proven_file.hpp"

namespace imdsgate {

class WhoAsks {
 public:
  struct Parts {
    boost::asio::any_io_executor loop;
    Metrics &metrics;
    // A process of the prober was replaced, and why; or, if `gone`, there is none any more.
    std::function<void(std::string const &why, bool gone)> on_replaced;
  };

  // Before any thread runs and before start-up's capabilities are dropped. `queue`: open_exec_queue().
  static Result<std::unique_ptr<WhoAsks>> open(Settings const &settings, HostInfo host, Result<ExecQueue> queue,
                                               Parts parts);
  WhoAsks(WhoAsks const &) = delete;

  AttributionTier &tier() { return *tier_; }
  ExecContext &execs() { return *execs_; }
  ExecFeed &exec_feed() { return *exec_feed_; }
  ContainerRuntime *containers() { return containers_ ? &*containers_ : nullptr; }

  // When the redirect is in place, which may be what loads conntrack: for whom the tier has no record of.
  void note_dial_times();
  // Of the client's end, where the kernel names its socket; fills flow.recorded, flow.socket and flow.dialled_from. Those of
  // other network namespaces are one user, who is none of this one's. `accepted`: the descriptor; -1: it is not ours.
  std::optional<uid_t> client_uid(Flow &flow, int accepted);
  void tick();  // about once a second
  bool client_alive(Flow const &flow);
  boost::asio::awaitable<void> write_proven(Worker &worker);
  void close();  // before the loop ends

 private:
  WhoAsks(Settings const &settings, Parts parts);
  Result<void> open_prober();

  Parts const parts_;
  ProvenFile const proven_file_;
  std::unique_ptr<ProberClient> prober_;
  std::unique_ptr<ExecFeed> exec_feed_;
  std::optional<ExecContext> execs_;
  std::optional<AttributionTier> tier_;
  std::optional<ClientSockets> sockets_;
  std::optional<ContainerRuntime> containers_;  // `containers.runtime`
};

}  // namespace imdsgate
