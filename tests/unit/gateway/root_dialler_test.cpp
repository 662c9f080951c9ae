// uid 0's helper: what it dials, what it refuses, and what it may still do.
#include "gateway/root_dialler.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fstream>

#include "attribute/descriptors.hpp"
#include "unit/intercept/network_namespace.hpp"

namespace imdsgate {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::uint32_t kMark = 0x1d5;

Endpoint wireserver(std::uint16_t port) { return {*Address::parse(kWireServerAddress), port}; }

HeldFd listen_there(std::uint16_t port) {
  test::sh("ip address add 168.63.129.16/32 dev lo");
  HeldFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_port = htons(port);
  ::inet_pton(AF_INET, kWireServerAddress, &local.sin_addr);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr const *>(&local), sizeof local), 0);
  EXPECT_EQ(::listen(listener.get(), 8), 0);
  return listener;
}

class Dialling {
 public:
  Dialling() {
    auto process = fork_root_dialler();
    EXPECT_TRUE(process) << process.error().detail;
    dialler_.emplace(loop_.get_executor(), *std::move(process), [this] {
      gone = true;
      loop_.stop();
    });
  }

  // The socket, or why there is none.
  boost::system::result<HeldFd, ConnectFailure> dial(std::uint16_t port) {
    boost::system::result<int, ConnectFailure> got = ConnectFailure{Reason::upstream_timeout, "it hangs"};
    auto const body = [&]() -> boost::asio::awaitable<void> { got = co_await dialler_->dial(wireserver(port), kMark); };
    loop_.restart();
    boost::asio::co_spawn(loop_, body, [&](std::exception_ptr) { loop_.stop(); });
    loop_.run_for(15s);
    if (!got) return got.error();
    return HeldFd(*got);
  }

  void run_until_gone() {
    loop_.restart();
    loop_.run_for(15s);
  }

  std::string status_line(std::string const &key) const {
    std::ifstream file("/proc/" + std::to_string(dialler_->pid()) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
    }
    return "no " + key;
  }
  pid_t pid() const { return dialler_->pid(); }
  bool gone = false;

 private:
  boost::asio::io_context loop_{1};
  std::optional<RootDialler> dialler_;
};

TEST(RootDialler, DialsTheTwoPortsAndNoOther) {
  IN_NETWORK_NAMESPACE([] {
    auto const listener = listen_there(32526);
    Dialling dialling;
    auto const socket = dialling.dial(32526);
    ASSERT_TRUE(socket) << socket.error().detail;
    HeldFd const accepted(::accept(listener.get(), nullptr, nullptr));
    EXPECT_TRUE(accepted);
    std::uint32_t mark = 0;
    socklen_t size = sizeof mark;
    EXPECT_EQ(::getsockopt(socket->get(), SOL_SOCKET, SO_MARK, &mark, &size), 0);
    EXPECT_EQ(mark, kMark);
    for (auto const port : std::array<std::uint16_t, 3>{22, 443, 0}) {
      auto const refused = dialling.dial(port);
      ASSERT_FALSE(refused);
      EXPECT_THAT(refused.error().detail, HasSubstr("Operation not permitted"));
    }
    EXPECT_TRUE(dialling.dial(32526)) << "still";
  });
}

TEST(RootDialler, HoldsNothingThatItDoesNotNeed) {
  IN_NETWORK_NAMESPACE([] {
    auto const listener = listen_there(80);
    Dialling dialling;
    ASSERT_TRUE(dialling.dial(80));
    EXPECT_EQ(dialling.status_line("Uid"), "0\t0\t0\t0");
    for (char const *set : {"CapEff", "CapPrm", "CapBnd"}) {
      EXPECT_EQ(dialling.status_line(set), "0000000000001000") << set << ": CAP_NET_ADMIN";
    }
    for (char const *set : {"CapInh", "CapAmb"}) EXPECT_EQ(dialling.status_line(set), "0000000000000000") << set;
    EXPECT_EQ(dialling.status_line("NoNewPrivs"), "1");
    EXPECT_EQ(dialling.status_line("Seccomp"), "2") << "a filter";
  });
}

TEST(RootDialler, ItsEndIsTold) {
  IN_NETWORK_NAMESPACE([] {
    Dialling dialling;
    ASSERT_EQ(::kill(dialling.pid(), SIGKILL), 0);
    dialling.run_until_gone();
    EXPECT_TRUE(dialling.gone);
    auto const refused = dialling.dial(80);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail, HasSubstr("has ended"));
  });
}

}  // namespace
}  // namespace imdsgate
