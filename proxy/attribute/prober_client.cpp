#include "attribute/prober_client.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace imdsgate {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

constexpr int kAttempts = 2;      // a process that exec'd between find and describe is found once more
constexpr int kSoPeerPidfd = 77;  // SO_PEERPIDFD, Linux 6.5

// What a worker may take for a question that is due by the deadline: less, so that one with many descriptors
// to look at says so itself and need not be replaced.
std::uint32_t budget(Deadline deadline) {
  auto const left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<std::uint32_t>(std::max<std::int64_t>(left * 9 / 10, 1));
}

Unattributed nobody(Refusal const &refusal) {
  return {refusal.reason, refusal.detail};
}

// When the connection was accepted, in the unit of /proc/PID/stat; a tick later, because that is how exact
// both are.
std::uint64_t accepted_ticks(Flow const &flow) {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  auto since_boot = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  if (flow.accepted != decltype(flow.accepted){}) {
    auto const ago = std::chrono::system_clock::now() - flow.accepted;
    if (ago.count() > 0 && ago < since_boot) since_boot -= ago;
  }
  auto const ticks_a_second = ::sysconf(_SC_CLK_TCK);
  auto const ticks =
      std::chrono::duration_cast<std::chrono::milliseconds>(since_boot).count() * ticks_a_second / 1000;
  return static_cast<std::uint64_t>(ticks) + 1;
}

}  // namespace

Result<std::unique_ptr<ProberClient>> ProberClient::spawn(asio::any_io_executor loop,
                                                          ProberClientOptions options) {
  auto client = std::make_unique<ProberClient>(std::move(loop), std::move(options));
  if (auto const started = client->pool_.start_prober(); !started) return started.error();
  return client;
}

ProberClient::ProberClient(asio::any_io_executor loop, ProberClientOptions options)
    : options_(std::move(options)),
      pool_(loop, options_.pool),
      walks_(loop, [this](Walk walk, Clock::time_point until) { return pool_.ask(std::move(walk), until); }),
      cache_(options_.cached, options_.describe_again) {
  if (auto conntrack = Conntrack::open()) conntrack_.emplace(std::move(*conntrack));
}

asio::awaitable<AttributionResult> ProberClient::attribute(Flow flow, std::uint64_t) {
  return attribute_by(std::move(flow), Clock::now() + options_.deadline);
}

asio::awaitable<AttributionResult> ProberClient::attribute_by(Flow flow, Deadline deadline) {
  auto const started = Clock::now();
  auto result = co_await name(std::move(flow), deadline);
  if (on_result) {
    on_result(result ? std::nullopt : std::optional(result.error().reason), Clock::now() - started);
  }
  co_return result;
}

asio::awaitable<AttributionResult> ProberClient::name(Flow flow, Deadline deadline) {
  Unattributed why{Reason::holder_changed, "the holder changed while it was described"};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto answer = co_await find(flow, deadline);
    if (auto const *refusal = std::get_if<Refusal>(&answer)) co_return nobody(*refusal);
    auto *found = std::get_if<Found>(&answer);
    if (!found || found->holders.suspects.empty()) {
      co_return Unattributed{Reason::unreadable, "the prober's answer is of another kind"};
    }
    Attribution attribution;
    attribution.method =
        flow.transport == Transport::tcp ? Attribution::Method::sock_diag : Attribution::Method::peercred;
    attribution.socket_inode = found->socket.inode;
    attribution.socket_cookie = found->socket.cookie;
    attribution.socket_uid = found->socket.uid;
    attribution.holder_pids = std::move(found->holders.pids);
    bool changed = false;
    for (auto &suspect : found->holders.suspects) {
      auto lineage = co_await describe(suspect, deadline);
      changed = !lineage && (lineage.error().reason == Reason::holder_changed ||
                             lineage.error().reason == Reason::process_gone);
      if (changed) {
        why = nobody(lineage.error());
        break;
      }
      if (!lineage) co_return nobody(lineage.error());
      attribution.holders.push_back(std::move(*lineage));
    }
    if (!changed) co_return attribution;
  }
  co_return why;
}

asio::awaitable<Answer> ProberClient::find(Flow flow, Deadline deadline) {
  if (flow.transport == Transport::unix_socket) co_return co_await find_unix(flow, deadline);
  auto answer = co_await find_tcp(flow, deadline);
  auto const *refusal = std::get_if<Refusal>(&answer);
  if (refusal && refusal->reason == Reason::socket_not_found && conntrack_ && flow.bridge.empty()) {
    auto const original = conntrack_->original_client(flow);
    if (original && *original != flow.client) {
      flow.client = *original;
      answer = co_await find_tcp(flow, deadline);
    }
  }
  auto const *needed = std::get_if<WalkNeeded>(&answer);
  if (!needed) co_return answer;
  auto const socket = needed->socket;
  auto outcome = co_await walks_.holders(socket, deadline);
  if (auto *nobody = std::get_if<Refusal>(&outcome)) co_return Answer{std::move(*nobody)};
  co_return Answer{Found{socket, std::move(std::get<Holders>(outcome))}};
}

// sock_diag does not see it: the socket is the one that the kernel wrote down, or nobody's.
asio::awaitable<Answer> ProberClient::find_beyond(Flow flow, Deadline deadline) {
  if (!flow.socket || flow.socket->inode == 0) {
    co_return Refusal{Reason::other_namespace,
                      "it came over " + flow.bridge + ", and the kernel wrote down no such connection"};
  }
  Question question = FindHolders{*flow.socket, budget(deadline)};
  co_return co_await pool_.ask(question, deadline);
}

asio::awaitable<Answer> ProberClient::find_tcp(Flow flow, Deadline deadline) {
  if (!flow.bridge.empty()) co_return co_await find_beyond(std::move(flow), deadline);
  Question question = FindTcp{flow.client, flow.original, budget(deadline)};
  co_return co_await pool_.ask(question, deadline);
}

asio::awaitable<Answer> ProberClient::find_unix(Flow flow, Deadline deadline) {
  ucred peer{};
  socklen_t size = sizeof peer;
  struct stat socket {};
  if (::getsockopt(flow.unix_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0 ||
      ::fstat(flow.unix_fd, &socket) != 0) {
    // Empty too for a peer in a pid namespace that is not below ours.
    co_return Refusal{Reason::unreadable, "SO_PEERCRED names nobody"};
  }
  HeldFd pidfd;
  int fd = -1;
  size = sizeof fd;
  if (::getsockopt(flow.unix_fd, SOL_SOCKET, kSoPeerPidfd, &fd, &size) == 0) pidfd.reset(fd);
  Question question =
      FindUnix{socket.st_ino, peer.pid, peer.uid, peer.gid, accepted_ticks(flow), budget(deadline)};
  co_return co_await pool_.ask(question, deadline, std::move(pidfd));
}

asio::awaitable<boost::system::result<LineagePtr, Refusal>> ProberClient::lineage(Describe what,
                                                                                  Deadline deadline) {
  Question question = what;
  auto answer = co_await pool_.ask(question, deadline);
  if (auto const *refusal = std::get_if<Refusal>(&answer)) co_return *refusal;
  auto *described = std::get_if<Described>(&answer);
  if (!described) co_return Refusal{Reason::unreadable, "the prober's answer is of another kind"};
  Suspect suspect{snapshot_of(described->lineage.process), std::nullopt};
  if (described->lineage.parent) suspect.parent = snapshot_of(*described->lineage.parent);
  co_return cache_.remember(suspect, std::move(described->lineage), Clock::now());
}

asio::awaitable<boost::system::result<Lineage, Refusal>> ProberClient::forked(DescribeForked what, Deadline deadline) {
  Question question = what;
  auto answer = co_await pool_.ask(question, deadline);
  if (auto const *refusal = std::get_if<Refusal>(&answer)) co_return *refusal;
  auto *described = std::get_if<Described>(&answer);
  if (!described) co_return Refusal{Reason::unreadable, "the prober's answer is of another kind"};
  auto &lineage = described->lineage;
  if (lineage.parent) {
    cache_.proven().apply(*lineage.parent);
    lineage.process.executable = lineage.parent->executable;  // what is proven of the one is proven of its copy
    // But in which container the copy was, and where its root, is not known.
    if (lineage.process.executable) lineage.process.executable->proven_in_namespace = false;
  }
  co_return std::move(lineage);
}

asio::awaitable<boost::system::result<LineagePtr, Refusal>> ProberClient::describe(Suspect suspect,
                                                                                   Deadline deadline) {
  if (auto known = cache_.find(suspect, Clock::now())) co_return known;
  Question question = Describe{suspect.holder.id.tgid, suspect.holder.id.start_ticks};
  auto answer = co_await pool_.ask(question, deadline);
  if (auto const *refusal = std::get_if<Refusal>(&answer)) co_return *refusal;
  auto *described = std::get_if<Described>(&answer);
  if (!described) co_return Refusal{Reason::unreadable, "the prober's answer is of another kind"};
  auto &lineage = described->lineage;
  std::optional<ProcessSnapshot> parent;
  if (lineage.parent) parent = snapshot_of(*lineage.parent);
  if (snapshot_of(lineage.process) != suspect.holder || parent != suspect.parent) {
    co_return Refusal{Reason::holder_changed, "the process exec'd while it was described"};
  }
  co_return cache_.remember(suspect, std::move(lineage), Clock::now());
}

}  // namespace imdsgate
