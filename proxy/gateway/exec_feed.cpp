#include "gateway/exec_feed.hpp"

#include <algorithm>
#include <iostream>

namespace imdsgate {

Result<std::unique_ptr<ExecFeed>> ExecFeed::open(Result<ConnectorSocket> connector, Parts parts) {
  std::unique_ptr<ExecFeed> feed(new ExecFeed(std::move(parts)));
  if (!connector) {
    feed->source_ = "none: " + connector.error().detail;
    return feed;
  }
  feed->source_ = "proc_connector";
  if (auto const &finding = connector->finding) std::cerr << "imdsgate: exec events: " << *finding << '\n';
  auto &prober = feed->parts_.prober;
  ExecEventsOptions options;
  options.request = [&prober](std::span<int const> fds, std::function<void(NewWorker)> made) {
    return prober.request_tracker(fds, std::move(made));
  };
  options.kill = [&prober](pid_t tracker) { prober.kill_tracker(tracker); };
  auto opened = ExecEvents::open(feed->parts_.loop, std::move(connector->socket), std::move(options));
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
