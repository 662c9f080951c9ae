// Where there is a proc connector, and where there is none.
#include "attribute/proc_connector.hpp"

#include "exec_events_host.hpp"

namespace imdsgate::test {
namespace {

TEST(ProcConnector, AnotherNetworkNamespaceHasNone) {
  Child child([](auto ready) {
    if (::unshare(CLONE_NEWNET) != 0) ::_exit(97);
    auto const opened = open_proc_connector();
    if (opened || opened.error().code != Errc::refused) ::_exit(97);
    ready();
    pause_forever();
  });
  child.wait_ready();
}

TEST(ProcConnector, AnotherPidNamespaceHasNone) {
  Child child([](auto ready) {
    if (::setns(first_network.get(), CLONE_NEWNET) != 0 || ::unshare(CLONE_NEWPID) != 0) ::_exit(97);
    auto const inner = fork_with_me();
    if (inner == 0) {
      auto const opened = open_proc_connector();
      ::_exit(!opened && opened.error().code == Errc::refused ? 0 : 97);
    }
    int status = 0;
    if (::waitpid(inner, &status, 0) != inner || status != 0) ::_exit(97);
    ready();
    pause_forever();
  });
  child.wait_ready();
}

}  // namespace
}  // namespace imdsgate::test
