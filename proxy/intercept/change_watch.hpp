// Tells when something of the host's network changed.
#pragma once

#include <initializer_list>
#include <memory>

#include "model/result.hpp"

struct nl_sock;

namespace imdsgate {

// A non-blocking netlink socket in the network namespace of the thread that opened it. Owned and used by
// one thread; whoever waits does it on fd() and then calls drain().
class ChangeWatch {
 public:
  static Result<ChangeWatch> of_addresses();  // and of interfaces
  static Result<ChangeWatch> of_nf_tables();  // what iptables-nft writes, too; of legacy tables nobody is told
  int fd() const;

  // Takes all that has come. True: look again. An overrun counts as a change, since nobody
  // knows what was lost.
  Result<bool> drain();

 private:
  struct Free {
    void operator()(nl_sock *socket) const;
  };
  static Result<ChangeWatch> open(int protocol, std::initializer_list<int> groups);
  explicit ChangeWatch(nl_sock *socket) : socket_(socket) {}
  std::unique_ptr<nl_sock, Free> socket_;
};

}  // namespace imdsgate
