// Where a sink's thread puts a line, on top of spdlog's sinks. Used by one thread at a time.
#pragma once

#include <spdlog/details/log_msg.h>

#include <memory>

#include "report/async_sink.hpp"

namespace imdsgate {

class SinkTarget {
 public:
  virtual ~SinkTarget() = default;
  virtual void deliver(spdlog::details::log_msg const &line) = 0;  // throws spdlog::spdlog_ex
};

// Throws spdlog::spdlog_ex when the place cannot be written to.
std::unique_ptr<SinkTarget> open_target(SinkOptions const &options);

}  // namespace imdsgate
