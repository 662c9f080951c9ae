// What naming a known process costs: by the prober and by BPF, with 1 and with 200 processes in the client's cgroup; and by
// BPF from the accepted descriptor on, beside few and many processes. Not a test, since it goes by the machine's speed: run it as
// root, by hand. It prints, and fails where the way from the accepted descriptor to the name is not what is promised of it.
#include <fcntl.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdio>
#include <optional>

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
  double accepted_to_name(Flow const &connection);

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

// Sleeping processes with descriptors: the program of the identity suite.
class Crowd {
 public:
  Crowd(TestCgroup const &cgroup, char const *processes, char const *descriptors) {
    int said[2];
    EXPECT_EQ(::pipe2(said, O_CLOEXEC), 0);
    said_ = HeldFd(said[0]);
    main_.emplace([&](auto ready) {
      TestCgroup::move(::getpid(), cgroup.path);
      ::dup2(said[1], STDOUT_FILENO);
      ready();
      ::execl(IMDSGATE_MANY, "many", processes, descriptors, nullptr);
      ::_exit(97);
    });
    ::close(said[1]);
    char text[16];
    EXPECT_EQ(::read(said_.get(), text, sizeof text), 6) << "it did not say ready";
  }
  ~Crowd() {
    main_->end();
    char byte;
    while (::read(said_.get(), &byte, 1) > 0) {
    }  // until the last of them has ended
  }

 private:
  HeldFd said_;
  std::optional<Child> main_;
};

// Microseconds: who is behind the accepted socket, from the look-up of its record to the name, in the median.
double AttributeBench::accepted_to_name(Flow const &connection) {
  constexpr int kRounds = 5000;
  std::vector<double> micros;
  bool done = false;
  auto const rounds = [&]() -> boost::asio::awaitable<void> {
    for (int i = 0; i < kRounds; ++i) {
      Flow flow = connection;
      flow.recorded.reset();
      auto const started = Clock::now();
      bool const recorded = bpf_->recognise(flow, accepted_.back().get());
      auto const result = co_await bpf_->attribute(flow, 1);
      auto const took = Clock::now() - started;
      if (recorded && result) micros.push_back(std::chrono::duration<double, std::micro>(took).count());
    }
    done = true;
  };
  boost::asio::co_spawn(io_, rounds, boost::asio::detached);
  run_until([&] { return done; });
  EXPECT_EQ(micros.size(), static_cast<std::size_t>(kRounds)) << "not always named";
  return micros.empty() ? 0 : median(micros);
}

TEST_F(AttributeBench, BesideManyProcesses) {
  constexpr int kPairs = 9;
  constexpr double kMost = 20, kMostRatio = 1.2;
  TestCgroup const cgroup;
  auto const flow = client_in(cgroup);
  Crowd const few(cgroup, "100", "50");
  std::vector<double> beside_few, beside_many, ratios;
  for (int i = 0; i < kPairs; ++i) {
    beside_few.push_back(accepted_to_name(flow));
    Crowd const more(cgroup, "9900", "50");
    beside_many.push_back(accepted_to_name(flow));
    ratios.push_back(beside_many.back() / beside_few.back());
  }
  auto const [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  std::printf("accepted socket to name, by BPF: median %.1f us beside 100 processes, %.1f us beside 10,000 with 500,000 descriptors; ratio %.2f (%.2f-%.2f)\n",
              median(beside_few), median(beside_many), median(ratios), *least, *most);
  EXPECT_LE(median(beside_few), kMost);
  EXPECT_LE(median(beside_many), kMost);
  EXPECT_LE(median(ratios), kMostRatio);
  children_.clear();
}

}  // namespace
}  // namespace imdsgate::test
