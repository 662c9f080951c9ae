#include "model/event.hpp"

namespace imdsgate {

std::string_view to_string(Lifecycle what) {
  switch (what) {
    case Lifecycle::started: return "started";
    case Lifecycle::stopped: return "stopped";
    case Lifecycle::mode_changed: return "mode_changed";
    case Lifecycle::reloaded: return "reloaded";
    case Lifecycle::reload_failed: return "reload_failed";
    case Lifecycle::drift: return "drift";
    case Lifecycle::suppressed: return "suppressed";
    case Lifecycle::self_loop: return "self_loop";
    case Lifecycle::armed: return "armed";
    case Lifecycle::disarmed: return "disarmed";
    case Lifecycle::prober_replaced: return "prober_replaced";
    case Lifecycle::dialler_gone: return "dialler_gone";
    case Lifecycle::existing_changed: return "existing_changed";
    case Lifecycle::exec_events_lost: return "exec_events_lost";
  }
  __builtin_unreachable();
}

std::string_view to_string(OlderConnection what) {
  switch (what) {
    case OlderConnection::found: return "connection_found";
    case OlderConnection::destroyed: return "connection_destroyed";
    case OlderConnection::kept: return "connection_kept";
  }
  __builtin_unreachable();
}

}  // namespace imdsgate
