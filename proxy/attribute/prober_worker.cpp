#include "attribute/prober_worker.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "attribute/describe.hpp"
#include "attribute/holders.hpp"
#include "attribute/pid_namespace.hpp"
#include "attribute/sock_diag.hpp"

namespace imdsgate {
namespace {

constexpr std::size_t kDescriptorsPerProcess = 5;

// How many processes may be kept open, after raising the limit to what it may be.
std::size_t cache_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 64;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 64;
  return std::clamp<std::size_t>((limit.rlim_cur - 128) / kDescriptorsPerProcess, 64, 4096);
}

class Worker {
 public:
  explicit Worker(SockDiag diag)
      : diag_(std::move(diag)),
        cgroups_(CgroupTree::open()),
        processes_(cache_limit()),
        search_(cgroups_, processes_),
        describer_(cgroups_) {}

  Answer answer(Question const &question, HeldFd const &pidfd) {
    if (auto const *find = std::get_if<FindTcp>(&question)) return this->find(*find);
    if (auto const *find = std::get_if<FindUnix>(&question)) return this->find(*find, pidfd);
    if (auto const *find = std::get_if<FindHolders>(&question)) return holders(find->socket, find->milliseconds);
    if (auto const *walk = std::get_if<Walk>(&question)) {
      return search_.walk(*walk, in(walk->milliseconds));
    }
    auto const *forked = std::get_if<DescribeForked>(&question);
    auto lineage = forked ? describer_.forked(*forked) : describer_.lineage(std::get<Describe>(question));
    if (!lineage) return lineage.error();
    return Described{std::move(*lineage)};
  }

 private:
  static Deadline in(std::uint32_t milliseconds) {
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  }

  Answer find(FindTcp const &question) {
    auto const socket = diag_.find_tcp(question.client, question.original);
    if (!socket) return socket.error();
    return holders(*socket, question.milliseconds);
  }

  Answer holders(SocketId const &socket, std::uint32_t milliseconds) {
    auto holders = search_.in_cgroup(socket, in(milliseconds));
    if (!holders && holders.error().reason == Reason::no_holder) {
      if (sees_all_) return WalkNeeded{socket};
      return Refusal{Reason::other_namespace,
                     "nobody in the socket's cgroup has it, and not all others are seen"};
    }
    if (!holders) return holders.error();
    return Found{socket, std::move(*holders)};
  }

  Answer find(FindUnix const &question, HeldFd const &pidfd) {
    auto socket = diag_.find_unix_peer(question.inode);
    if (!socket) return socket.error();
    auto *peer = processes_.get(question.pid);
    Refusal const ended{Reason::process_gone, "the peer of the UNIX socket ended"};
    if (!peer) return ended;
    // Opened first: a pidfd that has not ended by now names the process that was opened.
    pollfd poll{pidfd.get(), POLLIN, 0};
    if (pidfd && ::poll(&poll, 1, 0) != 0) return ended;
    auto holders = search_.sole(question.pid, neighbours(peer->dir), *socket, in(question.milliseconds));
    if (!holders) return holders.error();
    auto const &holder = holders->suspects.front().holder;
    bool const as_connected = holder.real_uid == question.uid && holder.effective_uid == question.uid &&
                              holder.effective_gid == question.gid &&
                              holder.id.start_ticks <= question.accepted_ticks;
    if (!as_connected) {
      return Refusal{Reason::peer_changed, "process " + std::to_string(question.pid) +
                                               " no longer has the credentials it connected with"};
    }
    socket->uid = question.uid;
    return Found{*socket, std::move(*holders)};
  }

  std::vector<pid_t> neighbours(ProcDir &peer) {
    auto const text = peer.read("cgroup", kMaxCgroupBytes);
    auto const path = text ? cgroup2_path(*text) : std::nullopt;
    auto pids = path ? cgroups_.processes(*path) : std::nullopt;
    if (pids) return std::move(*pids);
    return sees_all_ ? HolderSearch::everyone() : std::vector<pid_t>{0};
  }

  bool const sees_all_ = in_initial_pid_namespace();
  SockDiag diag_;
  CgroupTree cgroups_;
  ProcessCache processes_;
  HolderSearch search_;
  Describer describer_;
};

// One datagram, and the descriptor that came with it. 0: the other end is closed.
std::size_t receive(int socket, Bytes &buffer, HeldFd &attachment) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = 0;
  do {
    size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return 0;
  auto const *header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    attachment.reset(fd);
  }
  return static_cast<std::size_t>(size);
}

}  // namespace

int run_worker(HeldFd socket) {
  auto diag = SockDiag::open();
  if (!diag) return 1;
  Worker worker(std::move(*diag));
  Bytes buffer(kMaxMessage);
  for (;;) {
    HeldFd attachment;
    auto const size = receive(socket.get(), buffer, attachment);
    if (size == 0) return 0;
    auto const question = decode_question({buffer.data(), size});
    if (!question) return 1;  // the gateway does not write such a thing: whoever does is not answered
    auto const bytes = encode(question->sequence, worker.answer(question->value, attachment));
    if (::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return 0;
  }
}

}  // namespace imdsgate
