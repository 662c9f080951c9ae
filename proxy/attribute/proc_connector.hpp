// Process events from the kernel's proc connector (drivers/connector/cn_proc.c), through netlink. Exists only
// in the initial network, pid and user namespaces.
#pragma once

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <optional>

#include "attribute/exec_queue.hpp"
#include "attribute/exec_source.hpp"

namespace imdsgate {

struct ConnectorOptions {
  int receive_buffer = 16 << 20;  // bytes, as SO_RCVBUFFORCE takes them
};

// A socket that listens to every event of the host, without an event mask (with one, the numbers of the
// events have gaps of their own). In the namespaces of the caller; needs CAP_NET_ADMIN. `refused` where there
// is no connector.
Result<ExecQueue> open_proc_connector(ConnectorOptions options = {});

class ProcConnector : public ExecSource {
 public:
  explicit ProcConnector(int socket);  // the caller keeps it open
  ProcConnector(ProcConnector const &) = delete;
  int poll_fd() override { return socket_; }
  // Whoever is told of an exec has to read what was exec'd before it has ended.
  std::chrono::milliseconds patience() const override { return std::chrono::milliseconds(1); }
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
