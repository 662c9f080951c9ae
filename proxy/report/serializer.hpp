// Turns events into lines on a thread of its own: to_ecs costs about as much as all the rest of a request's
// accounting, and the loop has better to do. What the loop pays is a copy of the event, whose processes and
// rules are shared.
//
// put() is for one thread and never blocks: at most kQueue events wait, further ones are dropped and counted.
// The first event wakes the thread, which collects for kBatch before it works, so that a busy loop pays for a
// hundred wake-ups a second and not for one an event; an event is thereby at most that much later in a sink.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "model/event.hpp"

namespace imdsgate {

class Serializer {
 public:
  static constexpr std::size_t kQueue = 8192;
  static constexpr std::chrono::milliseconds kBatch{10};

  // Called on the thread, for each line in order; must not block and must not throw.
  using Deliver = std::function<void(std::string_view line, bool alert)>;

  Serializer(HostInfo host, Deliver deliver);
  ~Serializer();  // stop()

  void put(RequestEvent event, bool line, bool alert);  // which of its two lines to make
  void put(LifecycleEvent event);

  bool flush(std::chrono::milliseconds deadline);  // true: all that was put has been delivered
  void stop();                                     // delivers all that was put, then ends the thread

  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Item {
    std::variant<RequestEvent, LifecycleEvent> event;
    bool line = true;
    bool alert = false;
  };

  void put_item(Item item);
  void run();
  void deliver(Item const &item) const;

  HostInfo host_;
  Deliver deliver_;
  std::uint64_t dropped_ = 0;  // the putting thread's

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<Item> pending_;
  bool busy_ = false, hurry_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace imdsgate
