#include "attribute/bpf_attributor.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace imdsgate {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// The kernel counts a send after the bytes are on their way, so they can be here first: by about what a
// return from the network stack takes, unless the sender was interrupted just there.
constexpr auto kSendReturns = std::chrono::microseconds(20);
constexpr auto kLongestBacklog = std::chrono::minutes(1);  // that anybody waits for accept(2), and still wants an answer
constexpr auto kClocksDiffer = std::chrono::seconds(1);    // conntrack's and the kernel programs', at most

// Between looks at what may be written down any moment: from one to fifty milliseconds, each twice the one before.
class Pauses {
 public:
  explicit Pauses(asio::any_io_executor const &loop) : timer_(loop) {}
  asio::awaitable<void> next() {
    timer_.expires_after(pause_);
    pause_ = std::min(2 * pause_, std::chrono::milliseconds(50));
    co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));  // nobody cancels it
  }

 private:
  asio::steady_timer timer_;
  std::chrono::milliseconds pause_{1};
};

// What is odd about an executable, or makes it unproven, is said of it, and says nothing of who sends.
bool ordinary(bpf_task const &task) {
  constexpr std::uint32_t kOfTheExecutable = BPF_TASK_EXE_CHANGED | BPF_TASK_USER_NAMESPACE;
  return (task.unusual & ~kOfTheExecutable) == 0;
}

// The connector alone sent, and nobody else has the socket: not at the last send, or by now nobody at all, who could have
// sent or would get the answer.
bool clean(bpf_connection const &connection) {
  bool const released = (connection.over & BPF_CLIENT_RELEASED) != 0 && connection.by_ring == 0;
  return connection.flags == 0 && (connection.sole != 0 || released) && ordinary(connection.connector);
}

bool still_same_image(bpf_task const &before, bpf_task const &now) {
  return before.exec_id == now.exec_id &&
         (before.mm == now.mm || now.mm == 0);  // as still_same_task() has it
}

bool holds(Attribution const &found, std::uint32_t tgid) {
  return std::binary_search(found.holder_pids.begin(), found.holder_pids.end(), static_cast<pid_t>(tgid));
}

std::string process_text(std::uint32_t tgid) {
  return "process " + std::to_string(tgid);
}

Unattributed execed(std::uint32_t tgid) {
  return {Reason::holder_uncertain,
          process_text(tgid) + " connected, and became another program before it asked"};
}

bool of_load(Reason reason) {
  return reason == Reason::attribution_busy || reason == Reason::attribution_timeout || reason == Reason::walk_timeout;
}

Unattributed not_counted() {
  return {Reason::holder_uncertain, "the kernel has not said who sent the last of what came"};
}

// Who connected is known, and who else can send by the ring or take it out of the flight is not.
std::optional<Unattributed> unseen_holder(bpf_connection const &seen, Unattributed const &why) {
  if (why.reason != Reason::no_holder || seen.closed_ns != 0) return std::nullopt;
  return Unattributed{Reason::holder_uncertain,
                      process_text(seen.connector.tgid) +
                          " connected, and no process has a descriptor of its socket: it is in an io_uring, "
                          "or in flight"};
}

}  // namespace

BpfAttributor::BpfAttributor(ProberClient &prober, std::unique_ptr<BpfConnections> connections,
                             BpfAttributorOptions options)
    : prober_(prober),
      connections_(std::move(connections)),
      options_(options),
      lineages_(options.cached, options.describe_again),
      gone_(prober, *connections_, {options.cached, options.describe_again}) {}

bool BpfAttributor::recognise(Flow &flow, int accepted) const {
  flow.recorded = connections_->client_of(accepted);
  auto const entry = entry_of(flow);
  if (!entry) {
    flow.recorded.reset();
    return false;
  }
  flow.socket = SocketId{entry->socket_inode, flow.recorded->cookie, entry->socket_uid, entry->cgroup};
  flow.dialled_from = {flow.client.address, static_cast<std::uint16_t>(entry->local_port)};
  return true;
}

bool BpfAttributor::open_at_client(Flow const &flow) const {
  auto const entry = entry_of(flow);
  return entry && entry->closed_ns == 0;
}

std::optional<bpf_connection> BpfAttributor::entry_of(Flow const &flow) const {
  if (!flow.recorded) return std::nullopt;
  auto entry = connections_->find(*flow.recorded);
  auto const &address = flow.original.address.bytes();
  bool const as_dialled = entry && std::equal(address.begin(), address.end(), entry->remote_address) &&
                          entry->remote_port == flow.original.port;
  return as_dialled ? entry : std::nullopt;
}

// The entry once it counts everything that was received.
std::optional<bpf_connection> BpfAttributor::entry_with(Flow const &flow, std::uint64_t received) const {
  if (received == 0) return std::nullopt;
  auto entry = entry_of(flow);
  for (auto const until = Clock::now() + kSendReturns;
       entry && entry->sent < received && Clock::now() < until;) {
    entry = entry_of(flow);
  }
  if (entry && entry->sent < received) return std::nullopt;
  return entry;
}

// A second look: an entry is copied while it is written to, so what a first look saw beside the count of
// bytes may be from before them. What is in a second one is not.
bool BpfAttributor::still(Flow const &flow, bpf_connection const &before) const {
  auto const now = entry_of(flow);
  return now && clean(*now) && now->connected_ns == before.connected_ns;
}

asio::awaitable<AttributionResult> BpfAttributor::attribute(Flow flow, std::uint64_t received) {
  auto const deadline = Clock::now() + options_.within;
  auto named = co_await by_kernel(flow, received, deadline);
  if (named) co_return *std::move(named);
  // Its sender was interrupted just when the send was to be counted.
  std::optional<bpf_connection> entry;
  if (uncounted(flow, received)) entry = co_await counted(flow, received, Clock::now() + options_.counted_soon);
  if (entry && clean(*entry)) named = co_await by_kernel(flow, received, deadline);
  if (named) co_return *std::move(named);
  auto found = co_await ask_prober(flow, deadline - options_.within / 4);
  entry = entry_of(flow);
  if (!entry || entry->mptcp || received == 0) co_return found;
  auto const last = std::min(deadline, Clock::now() + options_.counted_within);
  if (!found) {
    bool const busy = of_load(found.error().reason);
    Patience const patience{busy ? deadline : last, busy};
    named = co_await by_kernel_later(flow, received, patience);
    if (named) co_return *std::move(named);
    co_return found;
  }
  // Bytes that are not counted may be of one who is no holder any more.
  entry = co_await counted(flow, received, last);
  auto why = entry ? disagreement(*entry, *found) : std::optional(not_counted());
  if (!why) co_return found;
  ++counters_.disagreed;
  co_return *std::move(why);
}

bool BpfAttributor::uncounted(Flow const &flow, std::uint64_t received) const {
  auto const entry = received != 0 ? entry_of(flow) : std::nullopt;
  return entry && !entry->mptcp && entry->sent < received && entry->flags == 0 && ordinary(entry->connector);
}

// Of whoever cannot be found any more, or not in time, the kernel's record may be complete soon: its last send counted, its
// socket released. Where nobody had the time to describe it, that is tried again.
asio::awaitable<std::optional<Attribution>> BpfAttributor::by_kernel_later(Flow flow, std::uint64_t received, Patience patience) {
  Pauses pauses(co_await asio::this_coro::executor);
  for (;;) {
    auto const entry = entry_of(flow);
    if (!entry || entry->flags != 0 || !ordinary(entry->connector)) co_return std::nullopt;
    if (entry->sent >= received && clean(*entry)) {
      auto named = co_await by_kernel(flow, received, patience.until);
      if (named || !patience.again) co_return named;
    }
    if (Clock::now() >= patience.until) co_return std::nullopt;
    co_await pauses.next();
  }
}

// Waits until everything received was counted. nullopt: it was not.
asio::awaitable<std::optional<bpf_connection>> BpfAttributor::counted(Flow flow, std::uint64_t received, Deadline until) {
  Pauses pauses(co_await asio::this_coro::executor);
  for (;;) {
    auto const entry = entry_of(flow);
    if (!entry || entry->sent >= received) co_return entry;
    if (Clock::now() >= until) co_return std::nullopt;
    co_await pauses.next();
  }
}

// By what the kernel wrote down alone.
asio::awaitable<std::optional<Attribution>> BpfAttributor::by_kernel(Flow flow, std::uint64_t received, Deadline deadline) {
  auto const entry = entry_with(flow, received);
  if (!entry || !clean(*entry)) co_return std::nullopt;
  auto lineage = lineages_.find(static_cast<pid_t>(entry->connector.tgid), BpfIdentity(*entry), Clock::now());
  if (lineage) {
    ++counters_.by_kernel;
  } else {
    lineage = co_await describe(*entry, deadline);
  }
  if (!lineage || !still(flow, *entry)) co_return std::nullopt;
  Attribution attribution;
  attribution.method = Attribution::Method::bpf;
  attribution.socket_inode = entry->socket_inode;
  attribution.socket_cookie = flow.recorded->cookie;
  attribution.socket_uid = entry->socket_uid;
  attribution.holder_pids = {lineage->process.id.tgid};
  attribution.holders.push_back(std::move(lineage));
  co_return attribution;
}

asio::awaitable<LineagePtr> BpfAttributor::describe(bpf_connection connection, Deadline deadline) {
  if (connections_->lives(connection.connector)) {
    auto lineage = co_await describe_living(connection, std::min(deadline, Clock::now() + options_.within / 2));
    if (lineage) {
      ++counters_.described;
      co_return lineage;
    }
    if (connections_->lives(connection.connector)) co_return nullptr;
  }
  auto lineage = co_await gone_.describe(connection, deadline);
  if (lineage) ++counters_.gone;
  co_return lineage;
}

// nullptr: what /proc says now is not about the process as it was when it sent.
asio::awaitable<LineagePtr> BpfAttributor::describe_living(bpf_connection connection, Deadline deadline) {
  auto const &task = connection.connector;
  Describe const question{static_cast<pid_t>(task.tgid), start_ticks(task)};
  auto described = co_await prober_.lineage(question, deadline);
  if (!described) co_return nullptr;
  auto lineage = std::move(*described);
  auto const &parent = lineage->parent;
  bool const fit = fits(task, lineage->process) && (!parent || fits(connection.parent, *parent));
  if (!fit) co_return nullptr;
  // After the description, not before: a program that was replaced does not come back, so if the process
  // still runs the one that sent, that one was described.
  auto const now = connections_->look(static_cast<pid_t>(task.tgid));
  if (!now || !still_same_task(task, now->process) || !still_same_task(connection.parent, now->parent))
    co_return nullptr;
  // And as it is after the description, too: only what it was exec'd with may have been described.
  lineage = withdraw_doubted(doubted(std::move(lineage), now->process, now->parent));
  lineages_.remember(question.tgid, BpfIdentity(connection), lineage, Clock::now());
  co_return lineage;
}

// Who has no record because there was no room for it may have seen to that.
bool BpfAttributor::was_refused(Flow const &flow) const {
  if (flow.recorded || flow.transport != Transport::tcp) return false;
  auto const dialled = flow.dialled_steady.value_or(flow.accepted_steady - kLongestBacklog);
  return connections_->refused_since(dialled - kClocksDiffer);
}

asio::awaitable<AttributionResult> BpfAttributor::ask_prober(Flow flow, Deadline deadline) {
  if (was_refused(flow)) {
    ++counters_.not_recorded;
    co_return Unattributed{Reason::not_recorded, "its connection has no record: there was no room for one"};
  }
  ++counters_.by_prober;
  auto const before = entry_of(flow);
  auto const another = BPF_SENT_BY_ANOTHER;
  if (before && (before->flags & BPF_SENT_AFTER_EXEC) && !(before->flags & another)) {
    ++counters_.disagreed;
    co_return execed(before->connector.tgid);
  }
  auto found = co_await prober_.attribute_by(flow, deadline);
  if (found) doubt_holders(*found);
  auto const after = entry_of(flow);
  auto const &seen = after ? after : before;
  // Of another network namespace, the socket is known by its inode, which is another's once it is closed.
  if (found && !flow.bridge.empty() && (!after || after->closed_ns != 0)) {
    co_return Unattributed{Reason::socket_gone, "the client's socket was closed"};
  }
  if (!seen) co_return found;
  auto const why = found ? disagreement(*seen, *found) : unseen_holder(*seen, found.error());
  if (!why) co_return found;
  ++counters_.disagreed;
  co_return *why;
}

// After the description, as with everyone who is described.
void BpfAttributor::doubt_holders(Attribution &found) const {
  for (auto &holder : found.holders) {
    auto const now = connections_->look(holder->process.id.tgid).value_or(bpf_look{});
    holder = withdraw_doubted(doubted(std::move(holder), now.process, now.parent));
  }
}

// What was noted as proven when it was described is not, as far as the kernel knows better.
LineagePtr BpfAttributor::withdraw_doubted(LineagePtr lineage) const {
  auto const changed = [](Process const &process) {
    return process.executable && process.executable->unproven == Unproven::exe_changed;
  };
  if (changed(lineage->process)) prober_.proven().withdraw(lineage->process.id);
  if (lineage->parent && changed(*lineage->parent)) prober_.proven().withdraw(lineage->parent->id);
  return lineage;
}

std::optional<Unattributed> BpfAttributor::disagreement(bpf_connection const &seen,
                                                        Attribution const &found) const {
  if (seen.last_sender != 0 && !holds(found, seen.last_sender)) {
    return Unattributed{Reason::holder_uncertain,
                        process_text(seen.last_sender) + " sent, and is no holder any more"};
  }
  auto const &connector = seen.connector;
  if (!holds(found, connector.tgid)) return std::nullopt;
  auto const now = connections_->look(static_cast<pid_t>(connector.tgid));
  bool const same_process = now && now->process.start_boottime == connector.start_boottime;
  if (same_process && !still_same_image(connector, now->process)) return execed(connector.tgid);
  return std::nullopt;
}

}  // namespace imdsgate
