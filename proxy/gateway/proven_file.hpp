// The file beside the control socket in which what was proven outlives the daemon (attribute/proven_executables.hpp).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "attribute/proven_executables.hpp"
#include "gateway/worker.hpp"

namespace imdsgate {

class ProvenFile {
 public:
  explicit ProvenFile(std::string path);

  // At start; blocks. What is believed: a file of mode 0600 that belongs to this process's user, of this boot. An error
  // says why it is not; there being none, or one of another boot, is no error.
  Result<ProvenExecutables> read() const;
  // Those of `proven` whose processes are still there, when something has changed: replaced as a whole, on the worker.
  boost::asio::awaitable<Result<void>> write(ProvenExecutables &proven, Worker &worker) const;

 private:
  std::string path_, boot_id_;
};

}  // namespace imdsgate
