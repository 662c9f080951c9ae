// Where events go. The other of the project's two virtual interfaces; tests collect into a vector.
#pragma once

#include "model/event.hpp"

namespace imdsgate {

class EventSink {
 public:
  virtual ~EventSink() = default;

  // Called on the loop; must not block and must not throw. What cannot be taken is dropped and counted.
  virtual void write(RequestEvent event) = 0;
  virtual void write(LifecycleEvent const &event) = 0;
};

}  // namespace imdsgate
