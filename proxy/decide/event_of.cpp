#include "decide/event_of.hpp"

#include <algorithm>

#include "decide/readings.hpp"

namespace imdsgate {
namespace {

using eql::Values;

constexpr std::string_view kFields[] = {"cloud.provider",
                                        "container.id",
                                        "container.image.name",
                                        "container.name",
                                        "destination.ip",
                                        "destination.port",
                                        "event.action",
                                        "event.category",
                                        "event.kind",
                                        "event.type",
                                        "group.id",
                                        "group.name",
                                        "host.id",
                                        "host.name",
                                        "host.os.type",
                                        "http.request.method",
                                        "imdsgate.cgroup",
                                        "imdsgate.unit",
                                        "network.transport",
                                        "network.type",
                                        "orchestrator.namespace",
                                        "orchestrator.resource.name",
                                        "orchestrator.resource.type",
                                        "process.args",
                                        "process.command_line",
                                        "process.entity_id",
                                        "process.executable",
                                        "process.name",
                                        "process.parent.args",
                                        "process.parent.command_line",
                                        "process.parent.entity_id",
                                        "process.parent.executable",
                                        "process.parent.name",
                                        "process.parent.pid",
                                        "process.parent.working_directory",
                                        "process.pid",
                                        "process.real_user.id",
                                        "process.working_directory",
                                        "url.original",
                                        "url.path",
                                        "url.query",
                                        "user.id",
                                        "user.name",
                                        "user_agent.original"};
static_assert(std::ranges::is_sorted(kFields));

void claim(Values &values, std::string value) {
  if (value.empty() || std::ranges::find(values.claimed, value) != values.claimed.end()) return;
  values.claimed.push_back(std::move(value));
}

void prove(Values &values, std::string const &value) {
  claim(values, value);
  if (!value.empty()) values.proven.push_back(value);
}

bool traced(Process const &process) {
  return process.tracer_pid != 0;
}

bool proves_its_image(Process const &process, SeenFrom root) {
  auto const &executable = process.executable;
  if (!executable || traced(process)) return false;
  return executable->proven() || (root == SeenFrom::its_namespace && executable->proven_in_namespace);
}

Values names(Process const &process, SeenFrom root) {
  Values values{claimed_names(process), {}, !process.executable};
  if (proves_its_image(process, root)) values.proven.push_back(*process.name());
  return values;
}

Values executables(Process const &process, SeenFrom root) {
  Values values{claimed_executables(process), {}, !process.executable};
  if (proves_its_image(process, root)) values.proven.push_back(process.executable->path);
  return values;
}

void set_values(eql::Event &event, std::string const &field, Values values) {
  if (!values.claimed.empty() || values.unreadable) event.set(field, std::move(values));
}

void set_known(eql::Event &event, std::string const &field, std::optional<std::string> const &value) {
  value ? event.set(field, *value) : event.set_unreadable(field);
}

// What a process shows of what it runs.
struct Image {
  Values name, executable, args, command_line, working_directory;
};

// Of arguments that were erased, cut short or could not be read there is more than is listed.
Image image_of(Process const &process, SeenFrom root) {
  bool const partly = process.args.empty() || process.args_truncated;
  Image image{
      names(process, root), executables(process, root), {process.args, {}, partly}, {{}, {}, partly}, {}};
  if (auto whole = process.command_line()) image.command_line.claimed.push_back(*std::move(whole));
  if (auto const &then = process.at_exec; then && then->args != process.args) {
    for (auto const &argument : then->args) claim(image.args, argument);
    if (auto whole = then->command_line()) claim(image.command_line, *std::move(whole));
  }
  image.working_directory.unreadable = !process.working_directory;
  if (auto const &path = process.working_directory)
    traced(process) ? claim(image.working_directory, *path) : prove(image.working_directory, *path);
  return image;
}

// Of two times: it went by what it went by at either, and what it was at one of them only is not proven.
void merge(Values &values, Values const &other) {
  for (auto const &each : other.claimed) claim(values, each);
  std::erase_if(values.proven, [&](auto const &each) {
    return std::ranges::find(other.proven, each) == other.proven.end();
  });
  values.unreadable = values.unreadable || other.unreadable;
}
void merge(Image &image, Image const &other) {
  merge(image.name, other.name);
  merge(image.executable, other.executable);
  merge(image.args, other.args);
  merge(image.command_line, other.command_line);
  merge(image.working_directory, other.working_directory);
}

void set_host(eql::Event &event, HostInfo const *host) {
  event.set("host.os.type", "linux");
  if (host == nullptr) {
    for (auto const *field : {"host.id", "host.name", "cloud.provider"}) event.set_unreadable(field);
    return;
  }
  event.set("host.id", host->id);
  set_known(event, "host.name", host->name.empty() ? std::nullopt : std::optional(host->name));
  event.set("cloud.provider", std::string(cloud_provider(host->provider)));
}

void set_process(eql::Event &event, Process const &process, Image image, std::string const &prefix) {
  event.set(prefix + "pid", std::to_string(process.id.tgid));
  if (!process.entity_id.empty()) event.set(prefix + "entity_id", process.entity_id);
  set_values(event, prefix + "name", std::move(image.name));
  set_values(event, prefix + "executable", std::move(image.executable));
  set_values(event, prefix + "args", std::move(image.args));
  set_values(event, prefix + "command_line", std::move(image.command_line));
  set_values(event, prefix + "working_directory", std::move(image.working_directory));
}

// A parent that has gone or cannot be read is not the same as none: only pid 1 and kernel threads have none.
// One that exec'd an excluded program after its fork excuses no child that it forked as another.
void set_parent(eql::Event &event, Lineage const &lineage, SeenFrom root) {
  static constexpr std::string_view kLast[] = {
      "pid", "entity_id", "name", "executable", "args", "command_line", "working_directory"};
  if (lineage.parent) {
    auto image = image_of(*lineage.parent, root);
    for (auto const &former : lineage.former_parents) merge(image, image_of(*former, root));
    return set_process(event, *lineage.parent, std::move(image), "process.parent.");
  }
  if (lineage.process.parent_pid == 0) return;
  for (auto const last : kLast) event.set_unreadable("process.parent." + std::string(last));
}

// A uid that /etc/passwd does not name may have a name elsewhere.
void set_user(eql::Event &event, Process const &process) {
  event.set("user.id", std::to_string(process.effective_uid));
  set_known(event, "user.name", process.user_name);
  event.set("process.real_user.id", std::to_string(process.real_uid));
  event.set("group.id", std::to_string(process.effective_gid));
  set_known(event, "group.name", process.group_name);
}

// Without a cgroup nobody knows whether there is a container; with one, its absence is a fact.
void set_place(eql::Event &event, Process const &process) {
  bool const known = !process.cgroup.empty();
  auto const flagged = [&](std::string const &field, std::optional<std::string> const &value, bool proven) {
    Values values;
    values.unreadable = !value && !known;
    if (value) proven ? prove(values, *value) : claim(values, *value);
    set_values(event, field, std::move(values));
  };
  flagged("container.id", process.container_id, process.container_proven);
  flagged("imdsgate.unit", process.unit, process.unit_proven);
  set_known(event, "imdsgate.cgroup", known ? std::optional(process.cgroup) : std::nullopt);
}

// Where there is no container there is none of it; of one that no runtime told about nobody knows.
void set_container(eql::Event &event, Process const &process) {
  auto const &details = process.container;
  bool const none = !process.container_id && !process.cgroup.empty();
  if (none) return;
  if (!details) {
    for (auto const *field : {"container.image.name", "container.name", "orchestrator.namespace", "orchestrator.resource.name",
                              "orchestrator.resource.type"}) {
      event.set_unreadable(field);
    }
    return;
  }
  event.set("container.image.name", details->image);
  event.set("container.name", details->name);
  if (!details->pod || !details->pod_namespace) return;
  event.set("orchestrator.namespace", *details->pod_namespace);
  event.set("orchestrator.resource.name", *details->pod);
  event.set("orchestrator.resource.type", "pod");
}

// "169.254.169.254:80" or "[fd00:ec2::254]:80"
void set_destination(eql::Event &event, std::string_view endpoint, bool tcp) {
  auto const colon = endpoint.rfind(':');
  if (colon == std::string_view::npos) return;
  auto host = endpoint.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  event.set("destination.ip", std::string(host));
  event.set("destination.port", std::string(endpoint.substr(colon + 1)));
  if (!tcp) return;
  event.set("network.transport", "tcp");
  event.set("network.type", host.find(':') == std::string_view::npos ? "ipv4" : "ipv6");
}

void set_request(eql::Event &event, MetadataRequest const &request) {
  auto const target = split_target(request.target);
  event.set("url.original", request.target);
  event.set("url.path", request.path);
  if (!target.query.empty()) event.set("url.query", std::string(target.query));
  event.set("http.request.method", request.method);
  if (request.user_agent) set_values(event, "user_agent.original", {{*request.user_agent}, {}, false});
}

void set_kind(eql::Event &event, std::string_view category, std::string_view type, std::string_view action) {
  event.category = category;
  event.set("event.category", std::string(category));
  event.set("event.type", std::string(type));
  event.set("event.action", std::string(action));
}
}  // namespace

std::span<std::string_view const> event_fields() {
  return kFields;
}

bool never_proven(std::string_view field) {
  return field.ends_with(".args") || field.ends_with(".command_line") || field == "user_agent.original";
}

eql::Event event_of(Lineage const &lineage, Circumstances const &circumstances, Presented as, SeenFrom root) {
  eql::Event event;
  event.set("event.kind", "event");
  set_host(event, circumstances.host);
  set_process(event, lineage.process, image_of(lineage.process, root), "process.");
  set_parent(event, lineage, root);
  set_user(event, lineage.process);
  set_place(event, lineage.process);
  set_container(event, lineage.process);
  switch (as) {
    case Presented::exec: set_kind(event, "process", "start", "exec"); break;
    case Presented::connection:
      set_kind(event, "network", "start", "connection_attempted");
      set_destination(event, circumstances.endpoint, circumstances.tcp);
      break;
    case Presented::request:
      set_kind(event, "web", "access", "metadata_request");
      set_destination(event, circumstances.endpoint, circumstances.tcp);
      if (circumstances.request != nullptr) set_request(event, *circumstances.request);
      break;
  }
  return event;
}

}  // namespace imdsgate
