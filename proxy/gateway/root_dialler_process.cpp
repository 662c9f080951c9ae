// The helper's side of root_dialler.hpp: everything in this file that follows run_root_dialler() runs as uid 0.
#include <arpa/inet.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "attribute/descriptors.hpp"
#include "gateway/dial_message.hpp"
#include "gateway/root_dialler.hpp"

namespace imdsgate {
namespace {

constexpr std::array<int, 2> kGiven{CAP_NET_ADMIN, CAP_SETUID};
constexpr std::array<int, 1> kKept{CAP_NET_ADMIN};  // SO_MARK

// uid 0 owns most files of the host even without a capability, so it may open none. The filter's description is not
// freed: an allocator may then give memory back, by calls that are not among those left.
bool allow_only_dialling() {
  scmp_filter_ctx const filter = ::seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (!filter) return false;
  auto const allow = [&](int call) { return ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0; };
  bool const tcp_only = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_INET),
                                           SCMP_A1(SCMP_CMP_EQ, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)) == 0;
  return tcp_only && allow(SCMP_SYS(setsockopt)) && allow(SCMP_SYS(connect)) && allow(SCMP_SYS(recvfrom)) &&
         allow(SCMP_SYS(sendto)) && allow(SCMP_SYS(sendmsg)) && allow(SCMP_SYS(close)) &&
         allow(SCMP_SYS(exit_group)) && allow(SCMP_SYS(rt_sigreturn)) && ::seccomp_load(filter) == 0;
}

// A socket on its way to that port, or errno.
HeldFd dial_port(DialRequest const &request, std::int32_t &error) {
  error = 0;
  auto const failed = [&error](int code) {
    error = code;
    return HeldFd();
  };
  if (std::ranges::find(kWireServerPorts, request.port) == kWireServerPorts.end()) return failed(EPERM);
  HeldFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!socket) return failed(errno);
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &request.mark, sizeof request.mark) != 0) return failed(errno);
  sockaddr_in remote{};
  remote.sin_family = AF_INET;
  remote.sin_port = htons(request.port);
  ::inet_pton(AF_INET, kWireServerAddress, &remote.sin_addr);
  int const connected = ::connect(socket.get(), reinterpret_cast<sockaddr const *>(&remote), sizeof remote);
  if (connected != 0 && errno != EINPROGRESS) return failed(errno);
  return socket;
}

bool answer(int control, DialRequest const &request) {
  DialAnswer reply{request.sequence, 0};
  auto const socket = dial_port(request, reply.error);
  if (!socket) return ::send(control, &reply, sizeof reply, MSG_NOSIGNAL) == sizeof reply;
  std::array const fds{socket.get()};
  return send_with_descriptors(control, &reply, sizeof reply, fds);
}

// Until the gateway's end is closed.
int serve(int control) {
  for (;;) {
    DialRequest request;
    auto const size = ::recv(control, &request, sizeof request, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size != sizeof request) return 0;
    if (!answer(control, request)) return 1;
  }
}

}  // namespace

int run_root_dialler(int control_fd) {
  if (!follow_maker(control_fd)) return 1;
  // NET_ADMIN stays permitted over this: nothing is lost on the way to uid 0 (capabilities(7)).
  if (::setresuid(0, 0, 0) != 0 || !drop_privileges(kKept) || !allow_only_dialling()) return 1;
  ::_exit(serve(control_fd));  // nothing else of the program's end is among the calls that are left
}

Result<HelperProcess> spawn_root_dialler() {
  Capabilities const needed(kGiven.data(), ::geteuid() == 0 ? 1 : kGiven.size());
  if (!has_capabilities(needed)) {
    return Error{Errc::refused, "dialling WireServer as uid 0 needs CAP_SETUID and CAP_NET_ADMIN"};
  }
  return spawn_helper("dialler", kGiven);
}

Result<HelperProcess> fork_root_dialler() { return fork_helper(run_root_dialler); }

}  // namespace imdsgate
