// Who holds the client's end of a TCP connection, on a live kernel.
#include <netinet/in.h>
#include <sys/stat.h>

#include "attribute/proc_parse.hpp"
#include "live_host.hpp"

namespace imdsgate::test {
namespace {

using TcpClient = LiveHost;

TEST_F(TcpClient, PeerCredentialsAreEmpty) {
  Child child([&](auto ready) {
    connect_here();
    ready();
    pause_forever();
  });
  accept();
  ucred peer{1, 1, 1};
  socklen_t size = sizeof peer;
  ASSERT_EQ(::getsockopt(accepted_.back().get(), SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
  EXPECT_EQ(peer.pid, 0);
  EXPECT_EQ(peer.uid, static_cast<uid_t>(-1));
}

TEST_F(TcpClient, IsNamedWithItsParentAndAncestry) {
  Child child = waiting([&] {
    become(33, 44);
    connect_here();
    if (::chdir("/usr") != 0) ::_exit(97);
  });
  auto const result = attribute(accept());
  ASSERT_NAMED(result);
  ASSERT_EQ(result->holders.size(), 1u);
  EXPECT_EQ(result->holder_pids, std::vector<pid_t>{child.pid()});
  EXPECT_EQ(result->method, Attribution::Method::sock_diag);
  EXPECT_EQ(result->socket_uid, 33u);
  auto const &process = result->holders[0]->process;
  EXPECT_EQ(process.id.tgid, child.pid());
  EXPECT_EQ(process.real_uid, 33u);
  EXPECT_EQ(process.effective_uid, 33u);
  EXPECT_EQ(process.effective_gid, 44u);
  EXPECT_EQ(process.user_name, "www-data");
  EXPECT_EQ(process.working_directory, "/usr");
  EXPECT_FALSE(process.args.empty());
  ASSERT_TRUE(process.executable);
  EXPECT_EQ(process.executable->path, std::filesystem::read_symlink("/proc/self/exe").string());
  EXPECT_TRUE(process.executable->proven());
  EXPECT_EQ(process.entity_id.size(), 36u);
  EXPECT_LT(std::chrono::abs(process.start - std::chrono::system_clock::now()), std::chrono::minutes(1));
  auto const &parent = result->holders[0]->parent;
  ASSERT_TRUE(parent);
  EXPECT_EQ(parent->id.tgid, ::getpid());
  EXPECT_TRUE(parent->executable && parent->executable->proven());
  EXPECT_EQ(result->holders[0]->ancestry.front().pid, ::getpid());
  EXPECT_EQ(result->holders[0]->ancestry.back().pid, 1);
}

TEST_F(TcpClient, AskedAgainIsTheSameAndCostsOneQuestion) {
  Child child = waiting([&] { connect_here(); });
  auto const flow = accept();
  auto const first = attribute(flow);
  auto const before = client_->counters().questions;
  auto const second = attribute(flow);
  ASSERT_NAMED(first);
  ASSERT_NAMED(second);
  EXPECT_TRUE(same_holders(*first, *second));
  EXPECT_EQ(client_->counters().questions, before + 1);
}

TEST_F(TcpClient, ThatClosedIsGone) {
  Child child = waiting([&] { ::close(connect_here()); });
  EXPECT_NOBODY(attribute(accept()), Reason::socket_gone);
}

TEST_F(TcpClient, ThatNeverWasIsNotFoundThoughAListenerHasThePort) {
  Flow flow;
  flow.client = {service_.address, 80};  // the listener's own address and port
  flow.original = {service_.address, 81};
  flow.local = flow.original;
  EXPECT_NOBODY(attribute(flow), Reason::socket_not_found);
}

TEST_F(TcpClient, OnAMappedAddressIsNamed) {
  Child child = waiting([&] { connect_v6_mapped(); });
  auto const result = attribute(accept());
  ASSERT_NAMED(result);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
}

TEST_F(TcpClient, BoundToADeviceIsNamed) {
  Child child = waiting([&] {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) != 0) ::_exit(97);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(80);
    auto const four = service_.address.v4();
    std::memcpy(&address.sin_addr, four.data(), four.size());
    if (::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) ::_exit(97);
  });
  auto const result = attribute(accept());
  ASSERT_NAMED(result);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
}

TEST_F(TcpClient, WithATranslatedPortIsNamedThroughConntrack) {
  // Two sockets on one source port, to two addresses that are redirected to one listener: the second one's
  // port is translated.
  ASSERT_EQ(run_to_end({"ip", "address", "add", "169.254.170.2/32", "dev", "lo"}), 0);
  for (auto const *address : {"169.254.169.254", "169.254.170.2"}) {
    ASSERT_EQ(run_to_end({"iptables", "-w", "5", "-t", "nat", "-A", "OUTPUT", "-d", address, "-p", "tcp",
                          "--dport", "81", "-j", "REDIRECT", "--to-ports", "880"}),
              0);
  }
  HeldFd const listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_port = htons(880);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr *>(&local), sizeof local), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  Child child = waiting([&] {
    for (std::uint32_t const service : {0xa9fea9feu, 0xa9feaa02u}) {
      int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
      int const one = 1;
      sockaddr_in source{}, address{};
      source.sin_family = address.sin_family = AF_INET;
      source.sin_port = htons(45555);
      source.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.sin_port = htons(81);
      address.sin_addr.s_addr = htonl(service);
      ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
      if (::bind(fd, reinterpret_cast<sockaddr *>(&source), sizeof source) != 0 ||
          ::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) {
        ::_exit(97);
      }
    }
  });
  unsigned translated = 0;
  for (char const *service : {"169.254.169.254", "169.254.170.2"}) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    accepted_.emplace_back(
        ::accept4(listener.get(), reinterpret_cast<sockaddr *>(&peer), &size, SOCK_CLOEXEC));
    sockaddr_in here{};
    size = sizeof here;
    ASSERT_EQ(::getsockname(accepted_.back().get(), reinterpret_cast<sockaddr *>(&here), &size), 0);
    Flow flow;
    flow.client = {Address::parse("127.0.0.1").value(), ntohs(peer.sin_port)};
    flow.local = {Address::parse("127.0.0.1").value(), 880};
    ASSERT_EQ(here.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    flow.original = {Address::parse(service).value(), 81};
    translated += flow.client.port != 45555;
    auto const result = attribute(flow);
    ASSERT_NAMED(result);
    EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
  }
  EXPECT_EQ(translated, 1u);
}

TEST_F(TcpClient, ThatExecsBetweenAcceptAndRequestIsAnother) {
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child child([&](auto) {
    connect_here();
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  auto const flow = accept();
  auto const at_accept = attribute(flow);
  ASSERT_NAMED(at_accept);
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  child.wait_exec();
  auto const at_request = attribute(flow);
  ASSERT_NAMED(at_request);
  EXPECT_EQ(at_request->holders[0]->process.name(), "sleep");
  EXPECT_EQ(at_request->socket_cookie, at_accept->socket_cookie);
  EXPECT_EQ(at_request->holders[0]->process.entity_id, at_accept->holders[0]->process.entity_id);
  EXPECT_FALSE(same_holders(*at_accept, *at_request));
  ::close(go[0]);
  ::close(go[1]);
}

TEST_F(TcpClient, ThatChangesItsUserIsDescribedAnew) {
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child child([&](auto ready) {
    connect_here();
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(97);
    become(33, 44);
    ready();
    pause_forever();
  });
  auto const flow = accept();
  auto const before = attribute(flow);
  ASSERT_NAMED(before);
  EXPECT_EQ(before->holders[0]->process.effective_uid, 0u);
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  child.wait_ready();
  auto const after = attribute(flow);
  ASSERT_NAMED(after);
  EXPECT_EQ(after->holders[0]->process.effective_uid, 33u);
  EXPECT_FALSE(same_holders(*before, *after));
  ::close(go[0]);
  ::close(go[1]);
}

TEST_F(TcpClient, RunningASetuidProgramIsUncertain) {
  auto const program = temp_.copy("/bin/sleep", "setuid-sleep");
  ASSERT_EQ(::chmod(program.c_str(), 04755), 0);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child child([&](auto) {
    become(33, 33);
    send_descriptor(pair[0], connect_here());  // one stays in flight, where nobody is seen to hold it
    run(program, "1000");
  });
  child.wait_exec();
  EXPECT_NOBODY(attribute(accept()), Reason::holder_uncertain);
  ::close(pair[0]);
  ::close(pair[1]);
}

}  // namespace
}  // namespace imdsgate::test
