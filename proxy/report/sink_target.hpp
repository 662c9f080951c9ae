// Where a sink's thread puts a line, on top of spdlog's sinks. Used by one thread at a time.
#pragma once

#include <spdlog/details/log_msg.h>

#include <memory>

#include "report/async_sink.hpp"

namespace imdsgate {

class SinkTarget {
 public:
  virtual ~SinkTarget() = default;
  // One line; up to at_once() bytes of them, each but the last with its newline. Throws spdlog::spdlog_ex, and none of
  // them is there then.
  virtual void deliver(spdlog::details::log_msg const &lines) = 0;
  // How much may be delivered together: lines that wait cost one system call then. 0: each by itself.
  virtual std::size_t at_once() const { return 0; }
};

// Throws spdlog::spdlog_ex when the place cannot be written to.
std::unique_ptr<SinkTarget> open_target(SinkOptions const &options);

}  // namespace imdsgate
