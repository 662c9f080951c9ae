// A listening socket of the gateway: TCP on loopback or on an interface's own address, or AF_UNIX. Used on
// the loop only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <optional>
#include <string>

#include "model/flow.hpp"
#include "model/result.hpp"

namespace imdsgate {

class Listener {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Executor = boost::asio::any_io_executor;

  // Errors name the address and, where a capability is missing for the port, which one.
  static Result<std::unique_ptr<Listener>> open_tcp(Executor executor, Endpoint const &endpoint);
  // Replaces a socket file that nobody listens on any more; its mode is 0666: who may ask is the policy's
  // business.
  static Result<std::unique_ptr<Listener>> open_unix(Executor executor, std::string const &path);
  // A listening descriptor handed over by systemd (sd_listen_fds(3)); ownership passes.
  static Result<std::unique_ptr<Listener>> adopt(Executor executor, int fd);

  struct Accepted {
    Socket socket;
    Flow flow;  // transport, client, local and time; `original` is not asked yet
  };
  // The next connection, or the error that stops this listener. Out of descriptors is not an error: it waits
  // for some.
  boost::asio::awaitable<Result<Accepted>> accept();

  void close();
  Transport transport() const { return transport_; }
  Endpoint const &local() const { return local_; }  // unset on AF_UNIX
  int native_handle() { return descriptor_.native_handle(); }

 private:
  Listener(Executor executor, int fd, Transport transport, Endpoint local);
  Result<Accepted> accept_now(int &error);

  boost::asio::posix::stream_descriptor descriptor_;
  Transport transport_;
  int family_;
  Endpoint local_;
};

}  // namespace imdsgate
