// What naming a known process costs, by the prober and by BPF, with 1 and with 200 processes in the client's
// cgroup. Not a test: prints, asserts nothing. Run as root, by hand.
#include <fcntl.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdio>

#include "unit/attribute/bpf_host.hpp"

namespace imdsgate::test {
namespace {

using Clock = std::chrono::steady_clock;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class AttributeBench : public BpfHost {
 protected:
  // A connected client in `cgroup`.
  Flow client_in(TestCgroup const &cgroup) {
    int go[2];
    EXPECT_EQ(::pipe2(go, O_CLOEXEC), 0);
    children_.emplace_back([&](auto ready) {
      char byte = 0;
      if (::read(go[0], &byte, 1) != 1) ::_exit(97);
      if (::send(connect_here(), "G", 1, 0) != 1) ::_exit(97);
      ready();
      pause_forever();
    });
    cgroup.add(children_.back().pid());
    EXPECT_EQ(::write(go[1], "g", 1), 1);
    children_.back().wait_ready();
    ::close(go[0]);
    ::close(go[1]);
    return accept_known();
  }

  void measure(char const *what, Flow flow) {
    measure(what, flow, *client_, "prober");
    measure(what, flow, *bpf_, "BPF");
  }

  void measure(char const *what, Flow flow, Attributor &attributor, char const *by) {
    constexpr int kRounds = 2000;
    std::vector<double> micros;
    bool done = false;
    auto const rounds = [&]() -> boost::asio::awaitable<void> {
      for (int i = 0; i < kRounds; ++i) {
        auto const started = Clock::now();
        auto const result = co_await attributor.attribute(flow, 1);
        if (result)
          micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - started).count());
      }
      done = true;
    };
    boost::asio::co_spawn(io_, rounds, boost::asio::detached);
    run_until([&] { return done; });
    if (micros.empty()) {
      std::printf("%-30s %-6s nobody named\n", what, by);
      return;
    }
    std::printf("%-30s %-6s median %7.1f us, best %7.1f us (%zu named)\n", what, by, median(micros),
                *std::min_element(micros.begin(), micros.end()), micros.size());
  }
  std::vector<Child> children_;
};

TEST_F(AttributeBench, KnownProcess) {
  TestCgroup const cgroup;
  auto const flow = client_in(cgroup);
  measure("known process, 1 in the cgroup", flow);
  for (int i = 0; i < 199; ++i) {
    children_.emplace_back([](auto ready) {
      ready();
      ::close_range(13, ~0u, 0);  // ten descriptors, as a small daemon has, and not those of all before it
      for (int fd = 3; fd < 13; ++fd) ::dup2(0, fd);
      pause_forever();
    });
    children_.back().wait_ready();
    cgroup.add(children_.back().pid());
  }
  measure("known process, 200 in the cgroup", flow);
  children_.clear();
}

}  // namespace
}  // namespace imdsgate::test
