// Connections to Azure's WireServer that uid 0 makes. The host's own firewall may let nobody else there (the guest
// agent's rules, facts of its networkutil.py), and looks at who created the socket, which a service user is not. So a
// helper process of uid 0 creates it, and does nothing else: it has one address and two ports to dial, written down in
// the program, and a seccomp filter that leaves it the system calls for that.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "act/upstream_pool.hpp"
#include "attribute/helper_process.hpp"
#include "model/address.hpp"

namespace imdsgate {

inline constexpr char const *kWireServerAddress = "168.63.129.16";
inline constexpr std::array<std::uint16_t, 2> kWireServerPorts{80, 32526};

// May uid 0's helper be asked for it?
bool is_wireserver(Endpoint const &endpoint);
bool guards_wireserver(std::vector<Endpoint> const &endpoints);

// `imdsgate dialler` and its end of the socket; the exit status.
int run_root_dialler(int control_fd);

// Start-up only, before any thread runs and before CAP_SETUID is dropped. Refused without CAP_SETUID (unless the
// caller is uid 0) and CAP_NET_ADMIN.
Result<HelperProcess> spawn_root_dialler();
Result<HelperProcess> fork_root_dialler();  // without exec, for tests

// The gateway's end. On the loop, which it never blocks; outlives its run.
class RootDialler {
 public:
  // `gone`: the helper ended, and nothing is dialled any more. Called once, unless close() came first.
  RootDialler(boost::asio::any_io_executor loop, HelperProcess process, std::function<void()> gone);
  RootDialler(RootDialler const &) = delete;

  // A socket that is being connected, with that mark.
  boost::asio::awaitable<boost::system::result<int, ConnectFailure>> dial(Endpoint remote, std::uint32_t mark);

  void close();  // ends the helper, before the loop does
  pid_t pid() const { return process_.pid; }

 private:
  struct Waiter;
  void wait();
  bool take_answers();
  void end();

  HelperProcess process_;
  boost::asio::posix::stream_descriptor control_;
  std::function<void()> gone_;
  std::uint32_t sequence_ = 0;
  std::map<std::uint32_t, Waiter *> waiting_;  // by the number of the question; those of dial()'s frames
};

}  // namespace imdsgate
