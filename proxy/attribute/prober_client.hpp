// The Attributor without BPF: asks the prober who holds the client's end of a connection. On the gateway's
// loop, never blocking it; must outlive the loop's run.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "attribute/attributor.hpp"
#include "attribute/conntrack.hpp"
#include "attribute/lineage_cache.hpp"
#include "attribute/walk_queue.hpp"
#include "attribute/worker_pool.hpp"

namespace imdsgate {

struct ProberClientOptions {
  std::chrono::milliseconds deadline{300};  // for one attribution, from the question to the name
  std::size_t cached = 4096;                // descriptions
  std::chrono::milliseconds describe_again{5000};
  WorkerPoolOptions pool;  // pool.start starts the prober, at once and whenever it died
};

class ProberClient : public Attributor {
 public:
  // Starts the prober too, and fails if that does.
  static Result<std::unique_ptr<ProberClient>> spawn(boost::asio::any_io_executor loop,
                                                     ProberClientOptions options = {});

  // Opens the conntrack socket in the network namespace of the calling thread (needs CAP_NET_ADMIN; without
  // it a client whose port was translated is socket_not_found). The prober
  // is started by the first question.
  ProberClient(boost::asio::any_io_executor loop, ProberClientOptions options);

  void attribute_within(std::chrono::milliseconds within) { options_.deadline = within; }

  // A flow of AF_UNIX: flow.unix_fd is used before the first suspension only.
  boost::asio::awaitable<AttributionResult> attribute(Flow flow, std::uint64_t received) override;

  // The same, by another time than attribute_within() says.
  boost::asio::awaitable<AttributionResult> attribute_by(Flow flow, Deadline deadline);

  // One process that is known by other means, with its parent and ancestors, from the prober by the deadline.
  // process_gone: it ended, or another has its number.
  boost::asio::awaitable<boost::system::result<LineagePtr, Refusal>> lineage(Describe question,
                                                                             Deadline deadline);

  // The same of one that has ended, with its parent described; see Describer::forked().
  boost::asio::awaitable<boost::system::result<Lineage, Refusal>> forked(DescribeForked question, Deadline deadline);

  // For metrics: called with each result (nullopt: named) and how long it took.
  std::function<void(std::optional<Reason>, std::chrono::nanoseconds)> on_result;
  // For events: a worker or the prober was replaced.
  void on_replaced(std::function<void(std::string const &)> call) { pool_.on_replaced = std::move(call); }

  // For ExecEvents; see WorkerPool.
  bool request_tracker(std::span<int const> fds, std::function<void(NewWorker)> made) {
    return pool_.request_tracker(fds, std::move(made));
  }
  void kill_tracker(pid_t tracker) { pool_.kill_tracker(tracker); }

  // Ends the prober, before the loop does. Nobody is named any more.
  void close() { pool_.close(); }

  // What outlives a restart of the daemon.
  ProvenExecutables &proven() { return cache_.proven(); }

  WorkerPoolCounters const &counters() const { return pool_.counters(); }
  std::uint64_t walks() const { return walks_.walks(); }
  std::vector<pid_t> worker_pids() const { return pool_.worker_pids(); }
  pid_t prober_pid() const { return pool_.prober_pid(); }

 private:
  boost::asio::awaitable<AttributionResult> name(Flow flow, Deadline deadline);
  boost::asio::awaitable<Answer> find(Flow flow, Deadline deadline);
  boost::asio::awaitable<Answer> find_beyond(Flow flow, Deadline deadline);
  boost::asio::awaitable<Answer> find_tcp(Flow flow, Deadline deadline);
  boost::asio::awaitable<Answer> find_unix(Flow flow, Deadline deadline);
  // The description that fits the suspect; holder_changed when the process is another by now.
  boost::asio::awaitable<boost::system::result<LineagePtr, Refusal>> describe(Suspect suspect,
                                                                              Deadline deadline);

  ProberClientOptions options_;
  WorkerPool pool_;
  WalkQueue walks_;
  LineageCache cache_;
  std::optional<Conntrack> conntrack_;
};

}  // namespace imdsgate
