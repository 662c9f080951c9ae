// The control socket: one JSON object a line in, one out. Each peer is authorised by what the kernel says of it
// (SO_PEERCRED, SO_PEERGROUPS): root changes, root and the configured group read.
//   {"command":"status"} | {"command":"unknown_paths"} | {"command":"mode"} | {"command":"mode","mode":"enforce"} | {"command":"reload"}
//   → {"ok":true, …} | {"ok":false,"error":"…"}
#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <optional>
#include <string>

#include "act/connection.hpp"
#include "intercept/listener.hpp"
#include "model/decision.hpp"

namespace imdsgate {

struct ControlPeer {
  pid_t pid;
  uid_t uid;
  bool reads = false;
  bool changes = false;
};

// What the control socket can ask of the daemon; implemented by gateway/daemon.cpp.
struct ControlCommands {
  std::function<boost::json::object()> status;
  std::function<boost::json::object()> unknown_paths;  // status.hpp
  std::function<Mode()> mode;
  // Both answer an "error" member when it could not be done.
  std::function<boost::asio::awaitable<boost::json::object>(Mode, ControlPeer)> set_mode;
  std::function<boost::asio::awaitable<boost::json::object>(std::optional<ControlPeer>)> reload;
};

// nullopt: the group does not exist. Reads /etc/group itself: no NSS module is asked (facts §1, GCE's OS Login).
std::optional<gid_t> group_id(std::string const &name);

// Serves until the listener is closed. The references outlive it: they are the daemon's.
boost::asio::awaitable<void> serve_control(Listener &listener, ControlCommands const &commands, std::optional<gid_t> group);

// The client's side, blocking: sends one command, answers the reply. Used by the CLI.
Result<boost::json::object> ask_daemon(std::string const &socket_path, boost::json::object const &command);

}  // namespace imdsgate
