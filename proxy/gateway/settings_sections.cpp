#include <sys/un.h>

#include <algorithm>

#include "decide/ascii_case.hpp"
#include "gateway/settings_reader.hpp"
#include "gateway/settings_words.hpp"

namespace imdsgate {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using yaml::Map;
using yaml::Reader;
using yaml::Value;

template <class Number>
void read_number(Reader &reader, Map &map, std::string_view key, std::uint64_t least, std::uint64_t most,
                 Number &into) {
  if (auto const value = map.find(key)) {
    if (auto const number = reader.unsigned_integer(*value, least, most)) into = static_cast<Number>(*number);
  }
}

template <class Number>
void read_size(Reader &reader, Map &map, std::string_view key, std::uint64_t least, std::uint64_t most,
               Number &into) {
  if (auto const value = map.find(key)) {
    if (auto const size = reader.size(*value, least, most)) into = static_cast<Number>(*size);
  }
}

void read_duration(Reader &reader, Map &map, std::string_view key, milliseconds least, milliseconds most,
                   milliseconds &into) {
  if (auto const value = map.find(key)) {
    if (auto const duration = reader.duration(*value, least, most)) into = *duration;
  }
}

std::optional<Address> read_address(Reader &reader, Value const &value) {
  auto const text = reader.text(value);
  if (!text) return std::nullopt;
  auto const address = Address::parse(*text);
  if (!address) {
    reader.error(value, address.error().detail);
    return std::nullopt;
  }
  return address.value();
}

std::optional<Endpoint> read_endpoint(Reader &reader, Map &map) {
  std::optional<Address> address;
  std::optional<std::uint64_t> port;
  if (auto const node = map.require("address")) address = read_address(reader, *node);
  if (auto const node = map.require("port")) port = reader.unsigned_integer(*node, 1, 65535);
  if (!address || !port) return std::nullopt;
  return Endpoint{*address, static_cast<std::uint16_t>(*port)};
}

// A name as a Host header has it, without a port: lower case, no dot at the end.
std::optional<std::string> read_host(Reader &reader, Value const &value) {
  auto name = reader.text(value);
  if (!name) return std::nullopt;
  *name = folded(*name);
  if (name->ends_with('.')) name->pop_back();
  if (Address::parse(*name)) {
    reader.error(value, *name + " is an address; an endpoint's own is known");
  } else if (name->empty() ||
             name->find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-._") != name->npos) {
    reader.error(value, "expected a host name without a port, found " + *name);
  } else {
    return name;
  }
  return std::nullopt;
}

void read_file_sink(SettingsReader &self, Map &map, SinkSettings &sink) {
  if (auto const value = map.require("path")) {
    if (auto path = self.path(*value)) sink.path = *std::move(path);
  }
  read_size(self.reader, map, "max_size", 64u << 10, std::uint64_t{1} << 40, sink.max_size);
  read_number(self.reader, map, "keep", 0, 1000, sink.keep);
}

void read_syslog_sink(Reader &reader, Map &map, SinkSettings &sink) {
  auto const value = map.find("address");
  auto const address = value ? reader.text(*value) : std::nullopt;
  if (!address) return;
  if (!address->starts_with("unix:/")) {
    reader.error(*value, "expected unix:/PATH, found " + *address);
  } else {
    sink.address = *address;
  }
}

std::optional<SinkSettings> read_sink(SettingsReader &self, Value const &value) {
  SinkSettings sink;
  Map map(self.reader, value);
  auto const type = map.require("type");
  auto const chosen = type ? self.reader.choice(*type, kSinkTypes) : std::nullopt;
  if (auto const only = map.find("only")) {
    sink.alerts_only = self.reader.choice<bool>(*only, {{"all", false}, {"alerts", true}}).value_or(false);
  }
  if (!chosen) return std::nullopt;
  sink.type = *chosen;
  switch (sink.type) {
    case SinkSettings::Type::file: read_file_sink(self, map, sink); break;
    case SinkSettings::Type::syslog: read_syslog_sink(self.reader, map, sink); break;
    case SinkSettings::Type::journald:
    case SinkSettings::Type::standard_output: break;
  }
  map.finish();
  return sink;
}
}  // namespace

std::optional<std::string> SettingsReader::socket_path(Value const &value) {
  auto path = this->path(value);
  if (path && path->size() >= sizeof(sockaddr_un::sun_path)) {
    reader.error(value, "is longer than a socket's path can be (" + std::to_string(sizeof(sockaddr_un::sun_path) - 1) +
                            " bytes)");
    return std::nullopt;
  }
  return path;
}

std::optional<std::string> SettingsReader::path(Value const &value) {
  auto const text = reader.text(value);
  if (!text) return std::nullopt;
  if (text->find('\0') != std::string::npos) {
    reader.error(value, "a path holds no NUL");
    return std::nullopt;
  }
  return (base / *text).lexically_normal().string();
}

EndpointChoices SettingsReader::read_particulars(Map &map) {
  EndpointChoices choices;
  choose(map, "provider", kServices, choices.provider);
  if (auto const value = map.find("hosts")) {
    for (auto const &item : reader.list(*value).value_or(std::vector<Value>{})) {
      if (auto name = read_host(reader, item)) choices.hosts.push_back(*std::move(name));
    }
  }
  read_classes(map, choices.classes);
  choose(map, "unknown", kVerdicts, choices.unknown);
  return choices;
}

void SettingsReader::read_endpoints(Map &root) {
  auto const value = root.find("endpoints");
  if (!value) return;
  auto const items = reader.list(*value);
  if (items && items->empty()) reader.error(*value, "is empty; leave it out for what the provider has");
  auto &endpoints = configuration.settings.endpoints;
  for (auto const &item : items.value_or(std::vector<Value>{})) {
    Map map(reader, item);
    auto const endpoint = read_endpoint(reader, map);
    auto const particulars = read_particulars(map);
    map.finish();
    if (!endpoint) continue;
    if (endpoint->address.is_loopback() || endpoint->address == Address{} ||
        endpoint->address == Address::from_v4({})) {
      reader.error(item, endpoint->address.to_string() + " is no address a metadata service can have");
    } else if (std::ranges::find(endpoints, *endpoint) != endpoints.end()) {
      reader.error(item, endpoint->to_string() + " is given twice");
    } else {
      endpoints.push_back(*endpoint);
      configuration.choices.particular[*endpoint] = particulars;
    }
  }
}

void SettingsReader::read_listen(Map &root) {
  auto const value = root.find("listen");
  if (!value) return;
  auto &settings = configuration.settings;
  Map map(reader, *value);
  if (auto const port = map.find("port")) {
    if (auto const number = reader.unsigned_integer(*port, 1, 65535)) {
      settings.listen_port = static_cast<std::uint16_t>(*number);
      if (*number >= 1024) {
        reader.warning(*port, "any user can take a port from 1024 up while the gateway is not running");
      }
    }
  }
  if (auto const unix_path = map.find("unix")) settings.listen_unix = socket_path(*unix_path);
  map.finish();
}

void SettingsReader::read_control(Map &root) {
  auto const value = root.find("control");
  if (!value) return;
  auto &settings = configuration.settings;
  Map map(reader, *value);
  if (auto const socket = map.find("socket")) {
    if (auto path = socket_path(*socket)) settings.control_socket = *std::move(path);
    if (settings.listen_unix == settings.control_socket) reader.error(*socket, "is listen.unix, too");
  }
  if (auto const group = map.find("group")) settings.control_group = reader.text(*group);
  map.finish();
}

void SettingsReader::read_upstream(Map &root) {
  auto const value = root.find("upstream");
  if (!value) return;
  auto &settings = configuration.settings;
  Map map(reader, *value);
  read_duration(reader, map, "connect_timeout", milliseconds(1), minutes(1), settings.connect_timeout);
  read_duration(reader, map, "idle_timeout", seconds(1), hours(24), settings.idle_timeout);
  map.finish();
}

void SettingsReader::read_firewall(Map &root) {
  auto &settings = configuration.settings;
  choose(root, "on_stop", kOnStops, settings.on_stop);
  choose(root, "firewall_backend", kBackends, settings.backend);
  choose(root, "attribution", kAttributionChoices, settings.attribution);
  choose(root, "existing", kExistings, settings.existing);
  auto const value = root.find("upstream_mark");
  if (!value) return;
  constexpr std::uint64_t kMost = 0xffffffff;
  Map map(reader, *value);
  read_number(reader, map, "mark", 1, kMost, settings.mark);
  read_number(reader, map, "mask", 1, kMost, settings.mark_mask);
  map.finish();
  if ((settings.mark & ~settings.mark_mask) != 0) {
    reader.error(*value, "the mark has bits outside its mask, so no packet would match");
  }
}

void SettingsReader::read_sinks(Map &root) {
  auto const value = root.find("sinks");
  auto &sinks = configuration.settings.sinks;
  if (!value) {
    sinks.emplace_back();
    return;
  }
  for (auto const &item : reader.list(*value).value_or(std::vector<Value>{})) {
    auto const sink = read_sink(*this, item);
    if (!sink) continue;
    auto const same_file = [&](SinkSettings const &other) {
      return sink->type == SinkSettings::Type::file && other.type == sink->type && other.path == sink->path;
    };
    if (!sink->path.empty() && std::ranges::any_of(sinks, same_file)) {
      reader.error(item, sink->path + " is written by another sink already");
    }
    sinks.push_back(*sink);
  }
}

void SettingsReader::read_metrics(Map &root) {
  auto const value = root.find("metrics");
  if (!value) return;
  Map map(reader, *value);
  auto const endpoint = read_endpoint(reader, map);
  map.finish();
  if (!endpoint) return;
  if (endpoint->port == configuration.settings.listen_port) {
    reader.error(*value, "the port is listen.port, too");
  }
  if (!endpoint->address.is_loopback()) {
    reader.warning(*value, endpoint->address.to_string() + " is not loopback: others can read the metrics");
  }
  configuration.settings.metrics = endpoint;
}

void SettingsReader::read_limits(Map &root) {
  auto const value = root.find("limits");
  if (!value) return;
  auto &limits = configuration.settings.limits;
  Map map(reader, *value);
  read_number(reader, map, "connections", 1, 65536, limits.connections);
  read_number(reader, map, "connections_per_uid", 1, 65536, limits.connections_per_uid);
  if (auto const rate = map.find("requests_per_second")) {
    if (auto const number = reader.unsigned_integer(*rate, 1, 100000)) {
      limits.requests_per_second = static_cast<unsigned>(*number);
    }
  }
  read_size(reader, map, "header_bytes", 1u << 10, 1u << 20, limits.header_bytes);
  read_size(reader, map, "body_bytes", 0, std::uint64_t{1} << 30, limits.body_bytes);
  read_duration(reader, map, "header_timeout", milliseconds(100), minutes(10), limits.header_timeout);
  read_duration(reader, map, "attribution_timeout", milliseconds(50), milliseconds(30000), limits.attribution_timeout);
  map.finish();
}

}  // namespace imdsgate
