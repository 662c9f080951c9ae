// Who connected to the UNIX listener: SO_PEERCRED names it, and it must still be that.
#include <fcntl.h>
#include <pty.h>
#include <sys/stat.h>

#include "live_host.hpp"

namespace imdsgate::test {
namespace {

using UnixClient = LiveHost;

TEST_F(UnixClient, IsNamedByItsPeerCredentials) {
  Child child = waiting([&] {
    become(33, 44);
    connect_unix();
  });
  auto const flow = accept_unix();
  auto const result = attribute(flow);
  ASSERT_NAMED(result);
  EXPECT_EQ(result->method, Attribution::Method::peercred);
  EXPECT_EQ(result->holders[0]->process.id.tgid, child.pid());
  EXPECT_EQ(result->holders[0]->process.effective_uid, 33u);
  EXPECT_EQ(result->holders[0]->process.effective_gid, 44u);
  EXPECT_EQ(result->socket_uid, 33u);
  auto const again = attribute(flow);
  ASSERT_NAMED(again);
  EXPECT_TRUE(same_holders(*result, *again));
}

TEST_F(UnixClient, CannotBorrowSu) {
  Child child([&](auto) {
    become(33, 33);
    int const fd = connect_unix();
    if (fork_with_me() == 0) {  // this one would send the request
      if (::dup2(fd, 3) != 3 || ::close_range(4, ~0u, 0) != 0) ::_exit(97);
      pause_forever();
    }
    int terminal = -1;
    int other = -1;
    if (::openpty(&terminal, &other, nullptr, nullptr, nullptr) != 0 || ::dup2(other, 0) != 0 ||
        ::dup2(other, 1) != 1)
      ::_exit(97);
    run("/usr/bin/su", "root");  // waits for a password
  });
  child.wait_exec();
  auto const result = attribute(accept_unix());
  ASSERT_FALSE(result) << "named " << result->holders[0]->process.comm;
  EXPECT_TRUE(result.error().reason == Reason::second_holder ||
              result.error().reason == Reason::peer_changed || result.error().reason == Reason::process_gone)
      << reason_of(result);
}

TEST_F(UnixClient, ThatRunsASetuidProgramIsNotWhoConnected) {
  auto const program = temp_.copy("/bin/sleep", "setuid-sleep");
  ASSERT_EQ(::chmod(program.c_str(), 04755), 0);
  Child child([&](auto) {
    become(33, 33);
    connect_unix();
    run(program, "1000");
  });
  child.wait_exec();
  EXPECT_NOBODY(attribute(accept_unix()), Reason::peer_changed);
}

TEST_F(UnixClient, WithASecondHolderIsNobody) {
  Child child([&](auto ready) {
    connect_unix();
    if (fork_with_me() == 0) {
      ready();
      pause_forever();
    }
    pause_forever();
  });
  child.wait_ready();
  EXPECT_NOBODY(attribute(accept_unix()), Reason::second_holder);
}

TEST_F(UnixClient, ThatExecsAfterAcceptIsAnother) {
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Child child([&](auto) {
    become(33, 33);
    connect_unix();
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(97);
    run("/bin/sleep", "1000");
  });
  auto const flow = accept_unix();
  auto const at_accept = attribute(flow);
  ASSERT_NAMED(at_accept);
  ASSERT_EQ(::write(go[1], "g", 1), 1);
  child.wait_exec();
  auto const at_request = attribute(flow);
  ASSERT_NAMED(at_request);
  EXPECT_FALSE(same_holders(*at_accept, *at_request));
  ::close(go[0]);
  ::close(go[1]);
}

TEST_F(UnixClient, ThatClosedIsGone) {
  Child child = waiting([&] { ::close(connect_unix()); });
  EXPECT_NOBODY(attribute(accept_unix()), Reason::socket_gone);
}

TEST_F(UnixClient, ThatPassedItsOnlyDescriptorOnIsNobody) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Child child = waiting([&] {
    int const fd = connect_unix();
    send_descriptor(pair[0], fd);
    ::close(fd);
  });
  EXPECT_NOBODY(attribute(accept_unix()), Reason::no_holder);
  ::close(pair[0]);
  ::close(pair[1]);
}

}  // namespace
}  // namespace imdsgate::test
