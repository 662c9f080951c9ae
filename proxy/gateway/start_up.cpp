#include "gateway/start_up.hpp"

#include <linux/capability.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <fstream>

#include "gateway/root_dialler.hpp"

namespace imdsgate {
namespace {

unsigned unprivileged_port_start() {
  unsigned start = 1024;
  std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> start;
  return start;
}

bool same_sinks(Settings const &a, Settings const &b) {
  auto const key = [](SinkSettings const &sink) {
    return std::tie(sink.type, sink.path, sink.max_size, sink.keep, sink.address, sink.alerts_only);
  };
  return std::equal(a.sinks.begin(), a.sinks.end(), b.sinks.begin(), b.sinks.end(),
                    [&](auto const &x, auto const &y) { return key(x) == key(y); });
}

}  // namespace

std::vector<int> inherited_listeners() {
  std::vector<int> descriptors;
  int const count = ::sd_listen_fds(1);
  for (int i = 0; i < count; ++i) descriptors.push_back(SD_LISTEN_FDS_START + i);
  return descriptors;
}

std::vector<NeededCapability> capabilities_of_a_run(Settings const &settings) {
  std::vector<NeededCapability> needed{
      {CAP_NET_ADMIN, "the firewall's rules and for marking the upstream connections"},
      {CAP_SYS_PTRACE, "naming the executables of other users' processes"},
      {CAP_DAC_READ_SEARCH, "finding which process holds a connection"},
  };
  if (guards_wireserver(settings.endpoints) && ::geteuid() != 0) {
    needed.push_back({CAP_SETUID, "dialling WireServer as uid 0"});
  }
  if (settings.listen_port < unprivileged_port_start()) {
    needed.push_back({CAP_NET_BIND_SERVICE, "listening on port " + std::to_string(settings.listen_port)});
  }
  return needed;
}

std::vector<SinkOptions> sink_options(std::vector<SinkSettings> const &sinks) {
  std::vector<SinkOptions> options;
  for (auto const &sink : sinks) {
    SinkOptions option;
    switch (sink.type) {
      case SinkSettings::Type::file: option.type = SinkOptions::Type::file; break;
      case SinkSettings::Type::journald: option.type = SinkOptions::Type::journald; break;
      case SinkSettings::Type::syslog: option.type = SinkOptions::Type::syslog; break;
      case SinkSettings::Type::standard_output: option.type = SinkOptions::Type::standard_output; break;
    }
    option.path = sink.path;
    option.max_size = sink.max_size;
    option.keep = sink.keep;
    option.address = sink.address;
    option.alerts_only = sink.alerts_only;
    options.push_back(std::move(option));
  }
  return options;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // without it fewer connections fit, and accept() waits for free ones
}

std::string needs_restart(Settings const &running, Settings const &loaded) {
  std::string keys;
  auto const differs = [&keys](bool differs, char const *key) {
    if (differs) keys.append(keys.empty() ? "" : ", ").append(key);
  };
  differs(running.listen_port != loaded.listen_port || running.listen_unix != loaded.listen_unix, "listen");
  differs(running.control_socket != loaded.control_socket || running.control_group != loaded.control_group, "control");
  differs(running.metrics != loaded.metrics, "metrics");
  differs(running.backend != loaded.backend, "firewall_backend");
  differs(running.attribution != loaded.attribution, "attribution");
  differs(running.container_runtime != loaded.container_runtime || running.container_api != loaded.container_api, "containers.runtime");
  differs(!same_sinks(running, loaded), "sinks");
  return keys;
}

void keep_what_needs_restart(Settings const &running, Settings &loaded) {
  loaded.listen_port = running.listen_port;
  loaded.listen_unix = running.listen_unix;
  loaded.control_socket = running.control_socket;
  loaded.control_group = running.control_group;
  loaded.metrics = running.metrics;
  loaded.backend = running.backend;
  loaded.attribution = running.attribution;
  loaded.container_runtime = running.container_runtime;
  loaded.container_api = running.container_api;
  loaded.sinks = running.sinks;
}

}  // namespace imdsgate
