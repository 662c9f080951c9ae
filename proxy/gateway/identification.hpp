// Attribution over the life of one connection, and what its sequence rules made of it. A name that the kernel's own record
// of the connection gives stands alone; without one, a name is given only when who held the socket at accept and who holds
// it at the request are the same. Whoever is known to have exec'd in between has none (design §4).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>

#include "attribute/attributor.hpp"
#include "attribute/container_runtime.hpp"
#include "gateway/exec_context.hpp"
#include "gateway/settings.hpp"
#include "report/metrics.hpp"

namespace imdsgate {

class Identification {
 public:
  struct Sources {
    Attributor &attributor;
    ExecContext &execs;
    Metrics &metrics;
    Limits const &limits;  // as they are by then: a reload changes them
    ContainerRuntime *containers = nullptr;  // nullptr: nobody is asked what a container is
  };
  // `was_reset`: of the connection; whoever has its addresses is its client only while it stands.
  Identification(Sources sources, Flow flow, boost::asio::any_io_executor executor,
                 std::function<bool()> was_reset = [] { return false; });

  // Starts the look at accept, which goes on while the request is read. on_done runs when it is there.
  void look_at_accept(std::function<void()> on_done);
  // The answer for a request that has been read completely, with all that was received on the connection until then.
  // Without a look at accept, accept and request are one moment.
  boost::asio::awaitable<AttributionResult> look_at_request(std::uint64_t received);
  // To be awaited before this is destroyed: a look may still be under way.
  boost::asio::awaitable<void> settled();
  // What is known without asking again, for refusals: nullopt while the first look is under way or was not taken.
  std::optional<AttributionResult> const &at_accept() const { return at_accept_; }

  // What the connection completed, and which execs may be missing that would have made it complete more. Of the
  // first look that named somebody.
  std::vector<SequenceMatchPtr> const &sequences() const { return sequences_; }
  MissingExecs missing_execs() const { return missing_execs_; }

 private:
  boost::asio::awaitable<AttributionResult> look(std::uint64_t received);
  std::optional<Unattributed> exec_since(Attribution const &who, MonotonicTime time) const;
  std::optional<Unattributed> exec_since_dialled(Attribution const &who, MonotonicTime dialled, bool settled) const;
  void evaluate(Attribution const &who, bool settled);
  boost::asio::awaitable<void> ask_about_containers(std::vector<LineagePtr> holders);
  std::shared_ptr<ContainerDetails const> container_of(Process const &process) const;
  bool lacks_container(LineagePtr const &holder) const;
  LineagePtr with_all_known(LineagePtr const &holder) const;
  Attribution with_execs(Attribution const &who);

  Sources const sources_;
  Flow const flow_;
  std::function<bool()> const was_reset_;
  std::optional<LiveRules::Arrival> arrival_;  // until the first look is over
  bool evaluated_ = false;                     // the connection, by the first look that named somebody
  std::vector<SequenceMatchPtr> sequences_;
  MissingExecs missing_execs_ = MissingExecs::none;
  std::vector<LineagePtr> looked_up_, with_execs_;  // holders, and the same with what exec events and the runtime tell
  boost::asio::steady_timer settled_;  // cancelled when the look at accept ends: an event to wait for
  bool looking_ = false;
  std::optional<AttributionResult> at_accept_;
};

}  // namespace imdsgate
