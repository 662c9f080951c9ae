// Process events from the kernel's proc connector (drivers/connector/cn_proc.c), through netlink. Exists only
// in the initial network, pid and user namespaces.
#pragma once

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>

#include "attribute/exec_source.hpp"
#include "attribute/held_fd.hpp"
#include "model/result.hpp"

namespace imdsgate {

struct ConnectorOptions {
  int receive_buffer = 16 << 20;  // bytes, as SO_RCVBUFFORCE takes them
};

struct ConnectorSocket {
  HeldFd socket;
  std::optional<std::string> finding;  // what is less than asked for: the receive buffer
};

// A socket that listens to every event of the host, without an event mask (with one, the numbers of the
// events have gaps of their own). In the namespaces of the caller; needs CAP_NET_ADMIN. `refused` where there
// is no connector.
Result<ConnectorSocket> open_proc_connector(ConnectorOptions options = {});

// How much is in the socket's receive queue, in the kernel's count of bytes; 0: everything was taken. Costs
// one system call, on any descriptor of the socket. nullopt: the kernel does not say.
std::optional<std::uint32_t> queued_in(int socket);

class ProcConnector : public ExecSource {
 public:
  explicit ProcConnector(int socket);  // the caller keeps it open
  ProcConnector(ProcConnector const &) = delete;
  int poll_fd() const override { return socket_; }
  bool drain(std::vector<ProcessEvent> &events) override;

 private:
  static constexpr std::size_t kAtOnce = 64;
  struct Cpu {
    std::uint32_t next_sequence = 0;
    MonotonicTime last{};
    bool seen = false;
  };
  void take(std::size_t index, std::size_t size, std::vector<ProcessEvent> &events);
  void check_sequence(std::uint32_t cpu, std::uint32_t sequence, MonotonicTime time,
                      std::vector<ProcessEvent> &events);

  int socket_;
  std::vector<Cpu> cpus_;
  MonotonicTime last_;                         // of the events so far
  std::optional<MonotonicTime> overrun_from_;  // the kernel said it had dropped some
  std::array<std::array<char, 256>, kAtOnce> buffers_;
  std::array<iovec, kAtOnce> parts_{};
  std::array<sockaddr_nl, kAtOnce> senders_{};
  std::array<mmsghdr, kAtOnce> messages_{};
};

}  // namespace imdsgate
