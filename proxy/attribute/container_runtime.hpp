// What the container runtime knows of the host's containers, asked over its UNIX socket: the Docker Engine
// API, which podman's service has too. On the loop, never blocking it; must outlive the loop's run.
//
// Only ids that the kernel gave are asked for. An id is random and stays its container's, so an answer is
// kept for good; one that is not there is asked for again after a while, and until then nothing is known of
// the container.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "attribute/docker_api.hpp"
#include "model/container_api.hpp"
#include "model/process.hpp"
#include "model/result.hpp"

namespace imdsgate {

struct ContainerRuntimeOptions {
  std::chrono::milliseconds deadline{2000};  // of a question; it goes on when nobody waits any more
  std::chrono::milliseconds again{5000};     // after one without an answer
  std::size_t answer_bytes = 1u << 20;
  std::size_t questions = 8;  // at once; more are not asked
  std::size_t kept = 4096;    // beyond, all are forgotten
};

class ContainerRuntime {
 public:
  using Clock = std::chrono::steady_clock;
  using Options = ContainerRuntimeOptions;
  struct Counters {
    std::uint64_t answered = 0;
    std::uint64_t unknown = 0;  // it has no such container
    std::uint64_t failed = 0;   // no answer, in time, or none that can be read
    std::uint64_t refused = 0;  // too many at once
  };

  ContainerRuntime(boost::asio::any_io_executor loop, ContainerApi api, std::string socket, Options options = {});
  ContainerRuntime(ContainerRuntime const &) = delete;

  // Waits until it is known, or known that it is not to be had, at most until then.
  boost::asio::awaitable<void> ask(std::string id, Clock::time_point until);
  // nullptr: not known (yet).
  std::shared_ptr<ContainerDetails const> find(std::string const &id) const;

  // The first question without an answer, and the first after there was one.
  std::function<void(std::string const &why)> on_failure;
  Counters const &counters() const { return counters_; }

 private:
  struct Known {
    std::shared_ptr<ContainerDetails const> details;
    Clock::time_point again{};                         // when there are none
    bool asked = false;                                // and not answered
    std::vector<boost::asio::steady_timer *> waiting;  // of those who do; cancelled with the answer
  };
  boost::asio::awaitable<Result<ContainerDetails>> question(std::string id);
  void answered(std::string const &id, Result<ContainerDetails> answer);
  void make_room();

  boost::asio::any_io_executor loop_;
  ContainerApi const api_;
  std::string const socket_;
  Options const options_;
  std::map<std::string, Known> known_;
  std::size_t asking_ = 0;
  DockerApi docker_;
  bool told_ = false;
  Counters counters_;
};

}  // namespace imdsgate
