#include <algorithm>

#include "report/ecs.hpp"
#include "report/ecs_fields.hpp"
#include "report/redact.hpp"

namespace imdsgate {
namespace {

constexpr std::size_t kMaxArguments = 64;
constexpr std::size_t kMaxArgumentBytes = 8 << 10;
constexpr std::size_t kMaxHolders = 32;
constexpr std::size_t kMaxAncestors = 64;

std::string_view to_string(Unproven why) {
  switch (why) {
    case Unproven::exe_replaced: return "exe_replaced";
    case Unproven::other_file: return "other_file";
    case Unproven::other_namespace: return "other_namespace";
    case Unproven::traced: return "traced";
    case Unproven::exe_changed: return "exe_changed";
    case Unproven::unreadable: return "unreadable";
  }
  __builtin_unreachable();
}

std::string_view to_string(Attribution::Method method) {
  switch (method) {
    case Attribution::Method::sock_diag: return "sock_diag";
    case Attribution::Method::peercred: return "peercred";
    case Attribution::Method::bpf: return "bpf";
  }
  __builtin_unreachable();
}

std::string_view basename(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// How many of the arguments fit what an event may carry.
std::size_t carried(Process const &process) {
  std::size_t bytes = 0, count = 0;
  for (auto const &argument : process.args) {
    bytes += argument.size();
    if (count == kMaxArguments || bytes > kMaxArgumentBytes) break;
    ++count;
  }
  return count;
}

bool cut(Process const &process) {
  return process.args_truncated || carried(process) < process.args.size();
}

void write_arguments(JsonWriter &json, Process const &process) {
  auto const arguments = redact_arguments(std::span(process.args).first(carried(process)));
  if (arguments.empty()) return;
  json.key("args").begin_array();
  std::string line;
  for (auto const &argument : arguments) {
    json.value(argument);
    if (!line.empty() || &argument != &arguments.front()) line += ' ';
    line += argument;
  }
  json.end_array().member("command_line", line);
}

// The members that a process and its parent have alike.
void write_process(JsonWriter &json, Process const &process) {
  json.member("pid", process.id.tgid);
  if (!process.entity_id.empty()) json.member("entity_id", process.entity_id);
  if (process.executable) {
    json.member("name", basename(process.executable->path)).member("executable", process.executable->path);
  }
  write_arguments(json, process);
  if (process.working_directory) json.member("working_directory", *process.working_directory);
  if (process.start.time_since_epoch().count() > 0) json.member("start", timestamp(process.start));
}

void write_strings(JsonWriter &json, std::string_view name, std::vector<std::string> const &texts) {
  if (texts.empty()) return;
  json.key(name).begin_array();
  for (auto const &text : texts) json.value(text);
  json.end_array();
}

// Everything the process goes by, proven or not (design §4).
void write_claimed_process(JsonWriter &json, std::string_view name, Process const &process) {
  auto names = claimed_names(process), executables = claimed_executables(process);
  for (auto *texts : {&names, &executables}) {
    for (auto &text : *texts) text = redact_text(text);
  }
  if (names.empty() && executables.empty()) return;
  json.key(name).begin_object();
  write_strings(json, "name", names);
  write_strings(json, "executable", executables);
  json.end_object();
}

void write_claimed(JsonWriter &json, Lineage const &lineage) {
  Process const &process = lineage.process;
  json.object("claimed", [&] {
    write_claimed_process(json, "process", process);
    if (lineage.parent) write_claimed_process(json, "parent", *lineage.parent);
    if (process.container_id && !process.container_proven) {
      json.key("container").begin_object().member("id", *process.container_id).end_object();
    }
    if (process.unit && !process.unit_proven) json.member("unit", *process.unit);
  });
}

void write_proven(JsonWriter &json, Lineage const &lineage) {
  Process const &process = lineage.process;
  json.object("proven", [&] {
    if (process.executable) json.member("executable", process.executable->proven());
    if (process.executable && process.executable->proven_in_namespace) json.member("executable_in_container", true);
    if (lineage.parent && lineage.parent->executable) {
      json.member("parent_executable", lineage.parent->executable->proven());
    }
    if (process.container_id) json.member("container", process.container_proven);
    if (process.unit) json.member("unit", process.unit_proven);
  });
  if (process.executable && process.executable->unproven) {
    json.member("unproven", to_string(*process.executable->unproven));
  }
}

void write_ancestry(JsonWriter &json, std::vector<Ancestor> const &ancestry) {
  if (ancestry.empty()) return;
  json.key("ancestry").begin_array();
  for (auto const &ancestor : std::span(ancestry).first(std::min(ancestry.size(), kMaxAncestors))) {
    json.begin_object().member("pid", ancestor.pid);
    if (ancestor.name) json.member("name", *ancestor.name);
    if (ancestor.executable) json.member("executable", *ancestor.executable);
    json.end_object();
  }
  json.end_array();
  if (ancestry.size() > kMaxAncestors) json.member("ancestry_truncated", true);
}

void write_holders(JsonWriter &json, Attribution const &attribution) {
  auto const &holders = attribution.holders;
  if (holders.empty()) return;
  json.key("holders").begin_array();
  for (auto const &holder : std::span(holders).first(std::min(holders.size(), kMaxHolders))) {
    json.begin_object().member("pid", holder->process.id.tgid);
    if (auto const &executable = holder->process.executable) {
      json.member("name", basename(executable->path)).member("executable", executable->path);
    }
    json.end_object();
  }
  json.end_array();
  if (holders.size() > kMaxHolders) json.member("holders_truncated", true);
}

void write_container(JsonWriter &json, Process const &process) {
  if (!process.container_id || !process.container_proven) return;
  auto const *details = process.container.get();
  json.object("container", [&] {
    json.member("id", *process.container_id);
    if (!details) return;
    json.member("name", details->name);
    json.object("image", [&] { json.member("name", details->image); });
  });
  if (!details || !details->pod || !details->pod_namespace) return;
  json.object("orchestrator", [&] {
    json.member("type", "kubernetes").member("namespace", *details->pod_namespace);
    json.object("resource", [&] { json.member("type", "pod").member("name", *details->pod); });
  });
}

}  // namespace

void write_process_fields(JsonWriter &json, Lineage const &lineage) {
  Process const &process = lineage.process;
  json.key("process").begin_object();
  write_process(json, process);
  json.key("real_user").begin_object().member("id", std::to_string(process.real_uid)).end_object();
  if (lineage.parent) {
    json.key("parent").begin_object();
    write_process(json, *lineage.parent);
    json.end_object();
  } else if (process.parent_pid > 0) {
    json.key("parent").begin_object().member("pid", process.parent_pid).end_object();
  }
  json.end_object();
  json.key("user").begin_object().member("id", std::to_string(process.effective_uid));
  if (process.user_name) json.member("name", *process.user_name);
  json.end_object();
  json.key("group").begin_object().member("id", std::to_string(process.effective_gid));
  if (process.group_name) json.member("name", *process.group_name);
  json.end_object();
  write_container(json, process);
}

void write_own_process_fields(JsonWriter &json, Lineage const &lineage) {
  Process const &process = lineage.process;
  write_ancestry(json, lineage.ancestry);
  write_claimed(json, lineage);
  write_proven(json, lineage);
  if (!process.cgroup.empty()) json.member("cgroup", process.cgroup);
  if (process.unit && process.unit_proven) json.member("unit", *process.unit);
  if (process.exec_seq) json.member("exec_seq", *process.exec_seq);
  if (process.tracer_pid > 0) json.member("tracer_pid", process.tracer_pid);
  if (cut(process)) json.member("args_truncated", true);
  if (lineage.parent && cut(*lineage.parent)) json.member("parent_args_truncated", true);
}

void write_attribution(JsonWriter &json, RequestEvent const &event) {
  if (!event.attribution && !event.unattributed) return;
  json.key("attribution").begin_object();
  if (event.unattributed) {
    // Whoever was found is not who asked, as far as anybody knows: no name, no uid.
    json.member("reason", name_of(*event.unattributed));
  } else {
    json.member("method", to_string(event.attribution->method));
    json.member("socket_uid", event.attribution->socket_uid);
    write_holders(json, *event.attribution);
  }
  json.end_object();
}

}  // namespace imdsgate
