// What `doctor` makes of what it saw: what would let a request past the gateway, or break the host. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/host_rules.hpp"
#include "intercept/bridges.hpp"
#include "model/decision.hpp"

namespace imdsgate {

enum class Health { ok, warning, problem };
std::string_view to_string(Health);

struct HealthFinding {
  Health health = Health::ok;
  std::string check;   // what was looked at: "firewall". Names are API
  std::string what;    // what is so
  std::string why;     // why it matters; empty when all is well
  std::string remedy;  // what to do; empty when all is well
};

struct DaemonSeen {
  Mode mode = Mode::audit;
  bool redirect = true, fence = false;
  std::string attribution, why_not_bpf, exec_events;
  std::uint64_t events_dropped = 0;
  std::string not_seen{};  // of processes
};

struct OlderSeen {
  std::string connection, owner;  // "10.0.0.2:4711 → 169.254.169.254:80", "curl (pid 4, uid 1001)"
};
struct NamespaceSeen {
  std::uint64_t inode = 0;
  std::size_t processes = 0;
  std::string example;  // "nginx (pid 4711)"
};
struct PowerfulSeen {
  std::string process;       // "nginx (pid 4711, uid 33)"
  std::string capabilities;  // "NET_ADMIN, NET_RAW"
};
struct UnknownSeen {
  std::string request, last_by;  // "ec2 GET /latest/…"
  std::uint64_t count = 0;
};

// Each Result's error says why it could not be looked at.
struct HostObservations {
  bool by_root = true;
  Mode configured = Mode::audit;
  std::uint16_t listen_port = 880;
  bool listen_unix = false;
  Existing existing = Existing::refuse;
  AttributionChoice attribution = AttributionChoice::automatic;
  Result<DaemonSeen> daemon = DaemonSeen{};
  // Looked at only without a daemon, which knows of itself.
  std::vector<std::string> missing_capabilities;
  Result<void> bpf = {};
  std::string not_seen;  // of processes, by a daemon that would be started here; empty: all are seen
  Result<std::string> exec_events = std::string();  // their source

  Result<void> rehearsal = {};
  std::vector<std::string> rehearsal_notes;
  Result<FirewallStatus> firewall = FirewallStatus{};
  Result<HostRules> host_rules = HostRules{};  // as if `existing` were not `ignore`
  Result<void> sock_destroy = {}, peer_pidfd = {};
  unsigned unprivileged_port_start = 1024;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> conntrack;  // entries and their limit
  Result<std::vector<OlderSeen>> older = std::vector<OlderSeen>{};
  Result<std::vector<NamedInterface>> bridges = std::vector<NamedInterface>{};  // those that `containers` names
  Result<std::vector<NamespaceSeen>> namespaces = std::vector<NamespaceSeen>{};  // other than the guarded one
  Result<std::vector<PowerfulSeen>> powerful = std::vector<PowerfulSeen>{};
  Result<std::vector<UnknownSeen>> unknown = std::vector<UnknownSeen>{};
  std::uint64_t unknown_forgotten = 0;
};

// At least one for each thing looked at; of a list at most kListed, and how many more there are.
inline constexpr std::size_t kListed = 32;
std::vector<HealthFinding> diagnose(HostObservations const &seen);

}  // namespace imdsgate
