// Where the daemon's exec events come from, and how much of them was lost. On the loop; must outlive its run.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "attribute/exec_events.hpp"
#include "attribute/prober_client.hpp"
#include "gateway/settings.hpp"
#include "report/metrics.hpp"

namespace imdsgate {

// The BPF programs' where these may be used and load, else the proc connector's, in the caller's namespaces; with the
// capabilities that load_exec_programs() names.
Result<ExecQueue> open_exec_queue(AttributionChoice choice);

class ExecFeed {
 public:
  struct Parts {
    boost::asio::any_io_executor loop;
    ProberClient &prober;
    Metrics &metrics;
    std::function<void(std::string const &)> on_replaced;  // the tracker, and why
  };
  // `queue`: open_exec_queue(). Where there is none the feed is empty: sequences are then joined through the
  // requester's own exec alone.
  static Result<std::unique_ptr<ExecFeed>> open(Result<ExecQueue> queue, Parts parts);
  ExecFeed(ExecFeed const &) = delete;

  ExecEvents *events() { return events_.get(); }                // nullptr: there are none
  std::string const &source() const { return source_; }        // "bpf", "proc_connector", or "none: " and why
  std::uint64_t take_losses() { return std::exchange(losses_, 0); }  // spans of time, since it was asked last
  void close();

 private:
  explicit ExecFeed(Parts parts) : parts_(std::move(parts)) {}

  Parts const parts_;
  std::string source_;
  std::unique_ptr<ExecEvents> events_;
  std::uint64_t losses_ = 0;
};

}  // namespace imdsgate
