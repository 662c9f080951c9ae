#include "attribute/proc_connector.hpp"

#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "attribute/netlink.hpp"

namespace imdsgate {
namespace {

// proc_event::what of linux/cn_proc.h, where the enumeration has had two names.
enum : std::uint32_t {
  kNone = 0,
  kFork = 1,
  kExec = 2,
  kUid = 4,
  kGid = 0x40,
  kPtrace = 0x100,
  kExit = 0x80000000,
};

struct ConnectorEvent {
  std::uint32_t sequence = 0, acknowledges = 0;
  proc_event event{};
};

std::optional<ConnectorEvent> parse(char const *bytes, std::size_t size) {
  auto *message = reinterpret_cast<nlmsghdr *>(const_cast<char *>(bytes));
  if (!nlmsg_ok(message, static_cast<int>(size))) return std::nullopt;
  auto const *data = static_cast<char const *>(nlmsg_data(message));
  auto const length = static_cast<std::size_t>(nlmsg_datalen(message));
  if (length < sizeof(cn_msg)) return std::nullopt;
  cn_msg header;
  std::memcpy(&header, data, sizeof header);
  // Newer kernels may write longer events than the headers know, older ones shorter: up to the exit code is
  // what every one of them has.
  constexpr std::size_t kLeast = offsetof(proc_event, event_data) + 4 * sizeof(__u32);
  if (header.id.idx != CN_IDX_PROC || header.id.val != CN_VAL_PROC || header.len < kLeast ||
      length - sizeof(cn_msg) < header.len) {
    return std::nullopt;
  }
  ConnectorEvent parsed;
  parsed.sequence = header.seq;
  parsed.acknowledges = header.ack;
  std::memcpy(&parsed.event, data + sizeof(cn_msg), std::min<std::size_t>(header.len, sizeof(proc_event)));
  return parsed;
}

Error failed(char const *what) {
  return Error{Errc::system, std::string("proc connector: ") + what + ": " + std::strerror(errno)};
}

Result<void> listen(nl_sock *socket, std::uint32_t token) {
  NlMsgPtr const message(nlmsg_alloc_simple(NLMSG_DONE, 0));
  cn_msg header{};
  header.id = {CN_IDX_PROC, CN_VAL_PROC};
  header.ack = token;
  header.len = sizeof(proc_cn_mcast_op);
  proc_cn_mcast_op const operation = PROC_CN_MCAST_LISTEN;
  if (!message || nlmsg_append(message.get(), &header, sizeof header, 0) < 0 ||
      nlmsg_append(message.get(), const_cast<proc_cn_mcast_op *>(&operation), sizeof operation, 0) < 0) {
    return Error{Errc::system, "proc connector: out of memory"};
  }
  nl_complete_msg(socket, message.get());
  auto const *bytes = nlmsg_hdr(message.get());
  if (::send(nl_socket_get_fd(socket), bytes, bytes->nlmsg_len, 0) >= 0) return {};
  if (errno == ECONNREFUSED) {
    return Error{Errc::refused, "proc connector: there is none in this network namespace"};
  }
  return failed("send");
}

// The kernel answers within send(2), with the token and one; in another pid or user namespace than the
// initial it does not answer.
Result<void> acknowledged(int fd, std::uint32_t token) {
  std::array<char, 256> buffer;
  for (;;) {
    auto const size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (size < 0 && errno == EAGAIN) {
      return Error{Errc::refused, "proc connector: it answers in the initial pid and user namespaces only"};
    }
    if (size < 0) return failed("receive");
    auto const parsed = parse(buffer.data(), static_cast<std::size_t>(size));
    bool const ours = parsed && static_cast<std::uint32_t>(parsed->event.what) == kNone &&
                      parsed->acknowledges == token + 1;
    if (!ours) continue;
    if (parsed->event.event_data.ack.err == 0) return {};
    errno = static_cast<int>(parsed->event.event_data.ack.err);
    return failed("listen");
  }
}

std::optional<std::string> enlarge(int fd, int bytes) {
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0) return std::nullopt;
  (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);  // as far as net.core.rmem_max allows
  int got = 0;
  socklen_t size = sizeof got;
  (void)::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &size);
  return "the receive buffer of exec events is " + std::to_string(got / 2) + " bytes, not " +
         std::to_string(bytes) + ": SO_RCVBUFFORCE needs CAP_NET_ADMIN";
}

MonotonicTime time_of(proc_event const &event) {
  return MonotonicTime(std::chrono::nanoseconds(event.timestamp_ns));
}

std::optional<ProcessEvent> meaning(proc_event const &event) {
  using What = ProcessEvent::What;
  auto const &data = event.event_data;
  ProcessEvent out;
  out.time = time_of(event);
  switch (static_cast<std::uint32_t>(event.what)) {
    case kFork:
      out.what = What::fork;
      out.pid = data.fork.parent_pid;
      out.tgid = data.fork.parent_tgid;
      out.child_pid = data.fork.child_pid;
      out.child_tgid = data.fork.child_tgid;
      return out;
    case kExec: out.what = What::exec; break;
    case kExit: out.what = What::exit; break;
    case kUid:
    case kGid: out.what = What::credentials; break;
    case kPtrace: out.what = What::traced; break;
    default:
      return std::nullopt;  // comm, sid, coredump, the answer to another listener: numbered like the rest
  }
  out.pid = data.exec.process_pid;  // these all begin with the same two
  out.tgid = data.exec.process_tgid;
  return out;
}

// How much is in the socket's receive queue, in the kernel's count of bytes; 0: everything was taken. nullopt: the
// kernel does not say.
std::optional<std::uint32_t> queued_in(int socket) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, SOL_SOCKET, SO_MEMINFO, info.data(), &size) != 0) return std::nullopt;
  return info[SK_MEMINFO_RMEM_ALLOC];
}

}  // namespace

Result<ExecQueue> open_proc_connector(ConnectorOptions options) {
  std::unique_ptr<nl_sock, void (*)(nl_sock *)> const socket(nl_socket_alloc(), nl_socket_free);
  if (!socket) return Error{Errc::system, "nl_socket_alloc: out of memory"};
  if (int const error = nl_connect(socket.get(), NETLINK_CONNECTOR); error < 0) {
    return Error{Errc::system, std::string("proc connector: ") + nl_geterror(error)};
  }
  if (int const error = nl_socket_add_membership(socket.get(), CN_IDX_PROC); error < 0) {
    return Error{Errc::refused, std::string("proc connector: joining its group: ") + nl_geterror(error)};
  }
  ExecQueue queue;
  queue.source = "proc_connector";
  int const fd = nl_socket_get_fd(socket.get());
  queue.finding = enlarge(fd, options.receive_buffer);
  auto const token = static_cast<std::uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  if (auto asked = listen(socket.get(), token); !asked) return asked.error();
  if (auto heard = acknowledged(fd, token); !heard) return heard.error();
  auto const kept = std::make_shared<HeldFd>(::fcntl(fd, F_DUPFD_CLOEXEC, 3));  // libnl closes its own
  if (!*kept) return failed("fcntl");
  if (!queued_in(kept->get())) return failed("SO_MEMINFO");
  queue.fds = {kept->get()};
  queue.empty = [kept] { return queued_in(kept->get()) == 0u; };
  queue.owner = kept;
  return queue;
}

ProcConnector::ProcConnector(int socket) : socket_(socket), last_(std::chrono::steady_clock::now()) {
  for (std::size_t i = 0; i < kAtOnce; ++i) {
    parts_[i] = {buffers_[i].data(), buffers_[i].size()};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &senders_[i];
  }
}

bool ProcConnector::drain(std::vector<ProcessEvent> &events) {
  for (std::size_t i = 0; i < kAtOnce; ++i) messages_[i].msg_hdr.msg_namelen = sizeof senders_[i];
  int const count = ::recvmmsg(socket_, messages_.data(), kAtOnce, MSG_DONTWAIT, nullptr);
  if (count < 0 && errno == EINTR) return false;
  if (count < 0 && errno == ENOBUFS) {
    // The queue was full. The kernel drops whatever comes until it has been emptied, and says so once, before
    // it gives out another message.
    if (!overrun_from_) overrun_from_ = last_;
    return false;
  }
  for (int i = 0; i < count; ++i) {
    auto const at = static_cast<std::size_t>(i);
    if (senders_[at].nl_pid == 0) take(at, messages_[at].msg_len, events);  // of the kernel, no other process
  }
  if (count <= 0 && overrun_from_) {
    ProcessEvent lost;
    lost.what = ProcessEvent::What::lost;
    lost.since = *std::exchange(overrun_from_, std::nullopt);
    lost.time = last_ = std::chrono::steady_clock::now();
    events.push_back(lost);
  }
  return count < static_cast<int>(kAtOnce) && !overrun_from_;
}

void ProcConnector::take(std::size_t index, std::size_t size, std::vector<ProcessEvent> &events) {
  auto const parsed = parse(buffers_[index].data(), size);
  if (!parsed) return;
  auto const time = time_of(parsed->event);
  check_sequence(parsed->event.cpu, parsed->sequence, time, events);
  last_ = std::max(last_, time);
  if (auto const event = meaning(parsed->event)) events.push_back(*event);
}

void ProcConnector::check_sequence(std::uint32_t cpu, std::uint32_t sequence, MonotonicTime time,
                                   std::vector<ProcessEvent> &events) {
  constexpr std::uint32_t kMaxCpus = 8192;  // NR_CPUS of any kernel
  if (cpu >= kMaxCpus) return;
  if (cpu >= cpus_.size()) cpus_.resize(cpu + 1);
  auto &known = cpus_[cpu];
  if (known.seen && sequence != known.next_sequence) {
    ProcessEvent lost;
    lost.what = ProcessEvent::What::lost;
    lost.since = known.last;
    lost.time = time;
    lost.count = sequence - known.next_sequence;
    events.push_back(lost);
  }
  known = {sequence + 1, time, true};
}

}  // namespace imdsgate
