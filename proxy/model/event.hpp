// What is reported. report/ecs turns these into one line of JSON each.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/credential.hpp"
#include "model/decision.hpp"
#include "model/flow.hpp"

namespace imdsgate {

// Facts about the host and the daemon, the same in every event.
struct HostInfo {
  std::string id;  // /etc/machine-id, else the DMI product UUID, else the boot id: never empty
  std::string name;
  Provider provider = Provider::ec2;
};

// What became of a connection that is older than the redirect, and goes past the gateway.
enum class OlderConnection {
  found,      // left as it is
  destroyed,  // reset at both ends
  kept,       // should have been destroyed, and could not be
};

// One request, from accept to the end of its answer. Also a connection that never became one (request is
// nullopt).
struct RequestEvent {
  std::chrono::system_clock::time_point time{};
  std::string id;  // UUID
  Flow flow;
  Mode mode = Mode::audit;
  std::optional<Attribution> attribution;  // nullopt: unattributed, or refused before anyone was asked
  std::optional<Reason> unattributed;
  std::optional<RawRequest> raw;  // header fields for user_agent.original; redacted when written
  std::optional<MetadataRequest> request;
  Decision decision;
  Action action = Action::forward;
  std::optional<Reason> failure;  // a limit, a deadline or an upstream error that ended it
  std::string failure_detail;     // of `failure` or `unattributed`, for people
  int status = 0;                 // 0: no answer was sent
  std::uint64_t request_body_bytes = 0;
  std::uint64_t response_body_bytes = 0;
  std::shared_ptr<Credential const>
      credential;  // that the answer held; nullptr: none was looked for or found
  std::chrono::nanoseconds duration{};
  std::optional<OlderConnection> older;  // then it is such a connection, and none that was accepted
  bool partial = false;  // the early alert of a request that is still being answered
};

enum class Lifecycle {
  started,
  stopped,
  mode_changed,
  reloaded,
  reload_failed,
  drift,
  suppressed,
  self_loop,
  armed,
  disarmed,
  prober_replaced,
  dialler_gone,
  existing_changed,
  exec_events_lost
};

struct LifecycleEvent {
  std::chrono::system_clock::time_point time{};
  std::string id;
  Lifecycle what = Lifecycle::started;
  Mode mode = Mode::audit;
  bool alert = false;  // event.kind: alert
  std::string message;
  std::map<std::string, std::string> details;  // written as imdsgate.<key>
  std::optional<uid_t> actor_uid;              // who asked over the control socket
  std::optional<pid_t> actor_pid;
};

std::string_view to_string(Lifecycle);
std::string_view to_string(OlderConnection);  // as event.action: "connection_found"

}  // namespace imdsgate
