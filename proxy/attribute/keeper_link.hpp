// The gateway's conversation with the prober's keeper: asks for workers and for the end of one. On the loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <span>

#include "attribute/prober.hpp"

namespace imdsgate {

// A worker, or the tracker, as the keeper hands it over. The pidfd keeps its number from being given away.
struct NewWorker {
  pid_t pid = 0;
  HeldFd socket, pidfd;
};

class KeeperLink {
 public:
  struct Events {
    std::function<void(NewWorker)> worker;  // pid 0: the keeper could not make one
    std::function<void()> gone;             // the keeper ended; the link may be destroyed in the call
  };
  KeeperLink(boost::asio::any_io_executor loop, HelperProcess process, Events events);
  KeeperLink(KeeperLink const &) = delete;

  bool request_worker();  // an answer follows; false: the keeper takes no message
  // With the descriptors of TrackerFds, which stay the caller's. `made` is called like Events::worker, unless
  // the keeper ends before.
  bool request_tracker(std::span<int const> fds, std::function<void(NewWorker)> made);
  void kill(pid_t worker);
  pid_t pid() const { return process_.pid; }

 private:
  void wait();
  bool take_answers();
  bool send(KeeperRequest const &request);
  HelperProcess process_;
  boost::asio::posix::stream_descriptor control_;
  Events events_;
  std::deque<std::function<void(NewWorker)>> asked_;  // who gets the next answer, in order
};

}  // namespace imdsgate
