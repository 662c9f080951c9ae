// /etc/imdsgate/imdsgate.yaml as values (interfaces §2). Reading it is the only thing here that touches
// files.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "decide/policy.hpp"
#include "gateway/profiles.hpp"
#include "model/container_api.hpp"
#include "model/result.hpp"

namespace imdsgate {

using std::chrono::milliseconds;

enum class OnStop { keep, remove, automatic };
enum class Existing { refuse, translate, ignore };
enum class Backend { automatic, nft, legacy };
enum class AttributionChoice { automatic, bpf, sock_diag };

struct SinkSettings {
  enum class Type { file, journald, syslog, standard_output } type = Type::standard_output;
  std::string path;                       // file
  std::uint64_t max_size = 64u << 20;     // file, bytes
  unsigned keep = 4;                      // file: rotated files kept
  std::string address = "unix:/dev/log";  // syslog
  bool alerts_only = false;
};

struct Limits {
  unsigned connections = 1024;
  unsigned connections_per_uid = 256;
  std::optional<unsigned> requests_per_second;  // of one process
  std::size_t header_bytes = 16u << 10;
  std::uint64_t body_bytes = 1u << 20;
  milliseconds header_timeout{5000};
  milliseconds attribution_timeout{300};  // from the question who asks to the name
};

struct Settings {
  Mode mode = Mode::audit;
  Provider provider = Provider::ec2;  // resolved: never auto
  bool provider_known = true;  // false: `auto` found no cloud and `endpoints` were given; ec2's protocol,
                               // every service's path classes
  std::vector<Endpoint> endpoints;  // resolved: never empty
  bool endpoints_by_default = false;  // they are what the provider has
  std::uint16_t listen_port = 880;
  std::optional<std::string> listen_unix;
  std::string control_socket = "/run/imdsgate/control.sock";
  std::optional<std::string> control_group;
  milliseconds connect_timeout{500};
  milliseconds idle_timeout{75000};
  OnStop on_stop = OnStop::automatic;
  Existing existing = Existing::refuse;
  Backend backend = Backend::automatic;  // `firewall_backend`: which iptables; auto is what `iptables` runs
  AttributionChoice attribution = AttributionChoice::automatic;  // auto: BPF where it loads, else sock_diag
  std::uint32_t mark = 0x1d5, mark_mask = 0xffff;
  std::vector<std::string> bridges;  // `containers.bridges`: whose namespaces' requests come here, too; empty: off
  std::optional<std::string> container_runtime;  // `containers.runtime`: its socket; nullopt: it is not asked
  ContainerApi container_api = ContainerApi::docker;
  std::vector<SinkSettings> sinks;
  std::optional<Endpoint> metrics;
  Limits limits;
};

struct Configuration {
  Settings settings;
  PolicyChoices choices;                                         // what `policies` are built from
  std::vector<ProfileChoice> profiles;                           // their entries stand last in choices.allow
  std::optional<std::vector<std::filesystem::path>> rule_files;  // nullopt: the rule the binary carries
  PolicySet policies;                                            // both nullptr unless ok()
  std::vector<Problem> problems;                                 // every one, warnings too
  bool ok() const;                                               // no error among them
};

// Reads the file and what it refers to (rules relative to it). A missing default file means the defaults; a
// missing named one is a problem. Blocking: start-up and the worker thread only. `dmi` is where the kernel
// shows what the firmware says of the machine.
Configuration load_configuration(std::filesystem::path const &file, bool named,
                                 std::filesystem::path const &dmi = "/sys/class/dmi/id");

// The whole effective configuration as YAML that load_configuration() reads again, for `check --show`.
// Relative paths are absolute in it.
std::string show(Configuration const &configuration);

}  // namespace imdsgate
