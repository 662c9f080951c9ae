// The Attributor where BPF loads. Names the process that the kernel saw connect and send, when it was one and
// the same all the time and nobody else has the socket, also when it has ended since; asks the prober in every other case, and believes it
// only as far as it agrees with what the kernel saw. On the gateway's loop, never blocking it; must outlive
// the loop's run.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "attribute/attributor.hpp"
#include "attribute/bpf_connections.hpp"
#include "attribute/bpf_identity.hpp"
#include "attribute/gone_clients.hpp"
#include "attribute/prober_client.hpp"
#include "attribute/recent_lineages.hpp"

namespace imdsgate {

struct BpfAttributorOptions {
  std::chrono::milliseconds within{300};  // for one attribution, from the question to the name
  std::size_t cached = 4096;  // descriptions
  std::chrono::milliseconds describe_again{5000};
  // How long a send is waited for that is not counted yet: before the prober is asked, and when it names nobody.
  std::chrono::milliseconds counted_soon{10};
  std::chrono::milliseconds counted_within{100};
};

class BpfAttributor : public Attributor {
 public:
  // `prober` must outlive this.
  BpfAttributor(ProberClient &prober, std::unique_ptr<BpfConnections> connections,
                BpfAttributorOptions options = {});

  // How long one attribution may take. A process that is there is described within half of that, the prober has until three
  // quarters of it are over, and the last is for who is gone by then.
  void attribute_within(std::chrono::milliseconds within) { options_.within = within; }

  // At accept: fills in flow.recorded, flow.socket and flow.dialled_from. False: the kernel wrote nothing down of this
  // connection's client.
  bool recognise(Flow &flow, int accepted) const;
  // Is the client's end open still? Of those that recognise() knew.
  bool open_at_client(Flow const &flow) const;
  // For processes that are gone: where their execs are told. It outlives this.
  void hear_of_execs(ExecEvents *events) { gone_.hear_of_execs(events); }

  // By the kernel: Attribution::Method::bpf. It needs flow.recorded, and that something was received.
  boost::asio::awaitable<AttributionResult> attribute(Flow flow, std::uint64_t received) override;

  struct Counters {
    std::uint64_t by_kernel = 0;  // answered without a question to anybody
    std::uint64_t described = 0;  // by the kernel too, after the process was described anew
    std::uint64_t gone = 0;       // and after it had ended, out of what was known of it and of its parent
    std::uint64_t by_prober = 0;  // everything else that was asked
    std::uint64_t not_recorded = 0;  // nobody was asked: there was no room for a record
    std::uint64_t disagreed = 0;  // of these: prober and kernel did not fit together, so nobody was named
  };
  Counters const &counters() const { return counters_; }
  BpfConnections &connections() { return *connections_; }
  BpfConnections const &connections() const { return *connections_; }

 private:
  std::optional<bpf_connection> entry_of(Flow const &flow) const;
  std::optional<bpf_connection> entry_with(Flow const &flow, std::uint64_t received) const;
  boost::asio::awaitable<std::optional<Attribution>> by_kernel(Flow flow, std::uint64_t received, Deadline deadline);
  struct Patience {
    Deadline until;
    bool again;  // also after a description that failed
  };
  boost::asio::awaitable<std::optional<Attribution>> by_kernel_later(Flow flow, std::uint64_t received, Patience patience);
  bool uncounted(Flow const &flow, std::uint64_t received) const;
  boost::asio::awaitable<std::optional<bpf_connection>> counted(Flow flow, std::uint64_t received, Deadline until);
  boost::asio::awaitable<LineagePtr> describe(bpf_connection connection, Deadline deadline);
  boost::asio::awaitable<LineagePtr> describe_living(bpf_connection connection, Deadline deadline);
  bool still(Flow const &flow, bpf_connection const &before) const;
  boost::asio::awaitable<AttributionResult> ask_prober(Flow flow, Deadline deadline);
  bool was_refused(Flow const &flow) const;
  void doubt_holders(Attribution &found) const;
  LineagePtr withdraw_doubted(LineagePtr lineage) const;
  std::optional<Unattributed> disagreement(bpf_connection const &seen, Attribution const &found) const;

  ProberClient &prober_;
  std::unique_ptr<BpfConnections> connections_;
  BpfAttributorOptions options_;
  RecentLineages<BpfIdentity> lineages_;
  GoneClients gone_;
  Counters counters_;
};

}  // namespace imdsgate
