#include "gateway/exec_feed.hpp"

#include <algorithm>
#include <iostream>

#include "attribute/bpf_execs.hpp"
#include "attribute/proc_connector.hpp"

namespace imdsgate {

Result<ExecQueue> open_exec_queue(AttributionChoice choice) {
  if (choice == AttributionChoice::sock_diag) return open_proc_connector();
  auto programs = load_exec_programs();
  if (programs) return programs;
  auto queue = open_proc_connector();
  if (!queue) return Error{queue.error().code, programs.error().detail + "; " + queue.error().detail};
  queue->finding = "by the proc connector: " + programs.error().detail + (queue->finding ? "; " + *queue->finding : "");
  return queue;
}

Result<std::unique_ptr<ExecFeed>> ExecFeed::open(Result<ExecQueue> queue, Parts parts) {
  std::unique_ptr<ExecFeed> feed(new ExecFeed(std::move(parts)));
  if (!queue) {
    feed->source_ = "none: " + queue.error().detail;
    return feed;
  }
  feed->source_ = queue->source;
  if (auto const &finding = queue->finding) std::cerr << "imdsgate: exec events: " << *finding << '\n';
  auto &prober = feed->parts_.prober;
  ExecEventsOptions options;
  options.request = [&prober](std::span<int const> fds, std::function<void(NewWorker)> made) {
    return prober.request_tracker(fds, std::move(made));
  };
  options.kill = [&prober](pid_t tracker) { prober.kill_tracker(tracker); };
  auto opened = ExecEvents::open(feed->parts_.loop, std::move(queue.value()), std::move(options));
  if (!opened) return opened.error();
  feed->events_ = std::move(opened.value());
  feed->events_->on_lost = [self = feed.get()](LostRecord const &lost) {
    self->parts_.metrics.count_exec_events_lost(std::max<std::uint64_t>(lost.events, 1));
    ++self->losses_;
  };
  feed->events_->on_replaced = feed->parts_.on_replaced;
  feed->events_->start();
  return feed;
}

void ExecFeed::close() {
  if (events_) events_->close();
}

}  // namespace imdsgate
