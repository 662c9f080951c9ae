// A LiveHost with the BPF programs loaded for its service. A test is skipped, with the reason, where they do
// not load.
#pragma once

#include <netinet/in.h>

#include <optional>

#include "attribute/bpf_attributor.hpp"
#include "attribute/client_sockets.hpp"
#include "live_host.hpp"

namespace imdsgate::test {

class BpfHost : public LiveHost {
 protected:
  void SetUp() override;
  void TearDown() override;
  void load();  // the programs, and the attributor that asks client_

  sockaddr_in service_address() const;
  // In a child: from that port, and closed by a reset.
  int connect_from(std::uint16_t port) const;
  // The next connection, with its client's socket looked up, as the gateway does at accept.
  Flow accept_known();
  // Reads from the connection that was accepted last until `bytes` have come, a minute at most.
  void receive(std::size_t bytes);
  AttributionResult ask(Flow flow, std::uint64_t received);
  // One connection made by `child`, which sends `bytes`: accepted, received, and asked about.
  AttributionResult named_after(std::size_t bytes);

  std::optional<ClientSockets> sockets_;
  std::unique_ptr<BpfAttributor> bpf_;
  Flow flow_;  // of the last accept_known()
};

constexpr char kAsk[] = "GET / HTTP/1.1\r\n\r\n";
constexpr std::size_t kAskSize = sizeof kAsk - 1;

// In a child: all of kAsk.
inline void send_ask(int fd) {
  if (::send(fd, kAsk, kAskSize, 0) != static_cast<ssize_t>(kAskSize)) ::_exit(97);
}

#define EXPECT_BY_KERNEL(result, who)                            \
  do {                                                           \
    auto const by_kernel = (result);                             \
    ASSERT_NAMED(by_kernel);                                     \
    EXPECT_EQ(by_kernel->method, Attribution::Method::bpf);      \
    EXPECT_EQ(by_kernel->holders.front()->process.id.tgid, who); \
    EXPECT_EQ(by_kernel->holder_pids, std::vector<pid_t>{who});  \
  } while (false)

// The prober's answer: the connector, and how many hold the socket.
#define EXPECT_BY_PROBER(result, who, count)                      \
  do {                                                            \
    auto const by_prober = (result);                              \
    ASSERT_NAMED(by_prober);                                      \
    EXPECT_EQ(by_prober->method, Attribution::Method::sock_diag); \
    EXPECT_EQ(by_prober->holders.front()->process.id.tgid, who);  \
    EXPECT_EQ(by_prober->holder_pids.size(), count);              \
  } while (false)

}  // namespace imdsgate::test
