// Tells when the host's interfaces or addresses changed.
#pragma once

#include <memory>

#include "model/result.hpp"

struct nl_sock;

namespace imdsgate {

// A non-blocking rtnetlink socket in the network namespace of the thread that opened it. Owned and used by
// one thread; whoever waits does it on fd() and then calls drain().
class AddressWatch {
 public:
  static Result<AddressWatch> open();
  int fd() const;

  // Takes all that has come. True: read the addresses again. An overrun counts as a change, since nobody
  // knows what was lost.
  Result<bool> drain();

 private:
  struct Free {
    void operator()(nl_sock *socket) const;
  };
  explicit AddressWatch(nl_sock *socket) : socket_(socket) {}
  std::unique_ptr<nl_sock, Free> socket_;
};

}  // namespace imdsgate
