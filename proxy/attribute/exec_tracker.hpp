// The process that sees every exec of the host: a child of the prober's keeper, with its two capabilities. It
// takes process events, reads what was exec'd before it is gone, and tells the gateway in records
// (codec_exec.hpp), in the order of the events. Parses nothing from the network.
#pragma once

#include <functional>

#include "attribute/codec_exec.hpp"
#include "attribute/exec_page.hpp"
#include "attribute/exec_source.hpp"
#include "attribute/exec_table.hpp"
#include "attribute/held_fd.hpp"

namespace imdsgate {

// What the gateway hands over, in this order as SCM_RIGHTS.
struct TrackerFds {
  HeldFd page;      // ExecPage
  HeldFd doorbell;  // eventfd: rung when the gateway should take records, which it does at its own pace
  HeldFd source;    // ExecQueue::fds: the proc connector, or the ring of the BPF programs
  HeldFd shared;    // with the latter alone: their bpf_exec_shared
};
constexpr std::size_t kTrackerFds = 4;

// Until the other end of `records` (SOCK_SEQPACKET) is closed; the exit status. Waits while the gateway takes
// no records: then events queue in the connector's socket, and what does not fit there is told as lost.
int run_tracker(HeldFd records, TrackerFds fds);

class ExecTracker {
 public:
  ExecTracker(HeldFd records, HeldFd doorbell, ExecPage page, ExecSource &source, ProcessReader reader);
  // False: the gateway is gone.
  bool run_once(int timeout_ms);
  // /proc as it is before the first event is looked at.
  void scan() { table_.scan(); }

 private:
  void tell(TrackerRecord const &record);
  void send_told();
  void ring();
  bool take_requests();
  void count_execs(MonotonicTime now);
  void take_events();
  void at_rest();
  bool wait(int timeout_ms);
  bool nap();
  void answer(bool at_rest);

  HeldFd records_, doorbell_;
  ExecPage page_;
  ExecSource &source_;
  ExecTable table_;
  std::function<MonotonicTime()> now_;
  std::vector<ProcessEvent> events_;
  RecordWriter told_;          // what is not sent yet
  std::size_t unrung_ = 0;     // bytes sent since it last rang
  struct Barrier {
    std::uint32_t number;
    MonotonicTime received;
  };
  std::vector<Barrier> barriers_;
  MonotonicTime last_event_{};
  std::optional<MonotonicTime> unrung_since_;
  MonotonicTime swept_{};
  MonotonicTime window_began_{};
  std::uint64_t window_execs_ = 0;
  bool napping_ = false;  // many execs: not woken by events
  bool emptied_ = true;
  bool ready_ = false;
  bool gateway_gone_ = false;
};

}  // namespace imdsgate
