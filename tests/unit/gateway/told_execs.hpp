// Exec events as a test tells them: nobody listens to the kernel.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "attribute/exec_events.hpp"
#include "unit/decide/people.hpp"

namespace imdsgate::test {

class ToldExecs {
 public:
  explicit ToldExecs(boost::asio::io_context &loop) {
    auto opened = ExecEvents::open(loop.get_executor(), {}, {});
    EXPECT_TRUE(opened);
    events_ = std::move(*opened);
  }
  ExecEvents *events() { return events_.get(); }

  void tell(ExecRecord record) {
    auto const shared = std::make_shared<ExecRecord const>(std::move(record));
    events_->history().add(shared);
    if (events_->on_exec) events_->on_exec(*shared);
  }

 private:
  std::unique_ptr<ExecEvents> events_;
};

inline MonotonicTime at(std::chrono::milliseconds time) {
  return MonotonicTime(time);
}

// The exec of that process, as a child of `parent`.
inline ExecRecord exec_of(Process const &process, Process const &parent, MonotonicTime time) {
  ExecRecord record;
  record.time = time;
  record.tgid = process.id.tgid;
  record.exec_seq = 1;
  record.start_ticks = process.id.start_ticks;
  record.process = std::make_shared<Process const>(process);
  record.parent_tgid = parent.id.tgid;
  record.parent = std::make_shared<Process const>(parent);
  return record;
}

}  // namespace imdsgate::test
