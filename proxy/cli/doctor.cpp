#include <fcntl.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>

#include "cli/cli.hpp"
#include "cli/configuration.hpp"
#include "cli/event_files.hpp"
#include "gateway/control.hpp"
#include "gateway/observe_host.hpp"
#include "intercept/descriptor.hpp"
#include "intercept/netns.hpp"
#include "replay/line_reader.hpp"
#include "report/json_writer.hpp"

namespace imdsgate {
namespace {

namespace json = boost::json;

struct Options {
  ConfigurationOption configuration;
  std::string netns;
  bool as_json = false;
};

constexpr std::size_t kMaxUnknownPaths = 4096;  // out of files; beyond, only counted

std::string request_of(std::string const &provider, std::string const &method, std::string const &path) {
  return provider + ' ' + method + ' ' + path;
}

Result<void> from_daemon(Settings const &settings, HostObservations &seen) {
  auto const reply = ask_daemon(settings.control_socket, {{"command", "unknown_paths"}});
  if (!reply) return reply.error();
  auto const *paths = reply->if_contains("paths");
  if (paths == nullptr || !paths->is_array()) return Error{Errc::malformed, "the daemon does not tell of unknown paths"};
  std::vector<UnknownSeen> unknown;
  for (auto const &each : paths->get_array()) {
    unknown.push_back({request_of(text_at(each, "provider"), text_at(each, "method"), text_at(each, "path")),
                       text_at(each, "last_by"), each.at("count").to_number<std::uint64_t>()});
  }
  seen.unknown = std::move(unknown);
  seen.unknown_forgotten = reply->at("forgotten").to_number<std::uint64_t>();
  return {};
}

std::string who_asked(json::value const &event) {
  auto const process = text_at(event, "process.name");
  if (process.empty()) return {};
  return process + " (pid " + text_at(event, "process.pid") + ", uid " + text_at(event, "user.id") + ')';
}

// One line an event, oldest first. A request's alert repeats its event.
Result<void> from_file(std::string const &file, std::map<std::string, UnknownSeen> &unknown, std::uint64_t &forgotten) {
  Descriptor const descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor) return Error{Errc::system, file + ": " + std::strerror(errno)};
  LineReader lines(descriptor.get());
  for (;;) {
    auto const line = lines.next();
    if (!line) return Error{Errc::system, file + ": " + line.error().detail};
    if (!*line) return {};
    boost::system::error_code code;
    auto const event = json::parse((*line)->text, code);
    if (code || text_at(event, "imdsgate.path_known") != "false" || text_at(event, "event.kind") != "event") continue;
    auto request = request_of(text_at(event, "imdsgate.provider"), text_at(event, "http.request.method"), text_at(event, "url.path"));
    if (unknown.size() >= kMaxUnknownPaths && !unknown.contains(request)) {
      ++forgotten;
      continue;
    }
    auto &entry = unknown[request];
    entry.request = std::move(request);
    ++entry.count;
    entry.last_by = who_asked(event);
  }
}

Result<void> from_files(Settings const &settings, HostObservations &seen) {
  std::map<std::string, UnknownSeen> unknown;
  for (auto const &file : event_files(settings.sinks)) {
    if (auto read = from_file(file, unknown, seen.unknown_forgotten); !read) return read;
  }
  std::vector<UnknownSeen> list;
  for (auto &[request, entry] : unknown) list.push_back(std::move(entry));
  std::ranges::stable_sort(list, std::greater(), &UnknownSeen::count);
  seen.unknown = std::move(list);
  return {};
}

void print(std::vector<HealthFinding> const &findings) {
  for (auto const &finding : findings) {
    std::string line(to_string(finding.health));
    line.append(9 - line.size(), ' ').append(finding.check).append(": ");
    append_escaped(line, finding.what);
    if (!finding.why.empty()) append_escaped(line.append(". Why it matters: "), finding.why);
    if (!finding.remedy.empty()) append_escaped(line.append(". What to do: "), finding.remedy);
    std::cout << line << '\n';
  }
}

void print_json(std::vector<HealthFinding> const &findings) {
  std::string text;
  JsonWriter writer(text);
  writer.begin_object().key("findings").begin_array();
  for (auto const &finding : findings) {
    writer.begin_object().member("health", to_string(finding.health)).member("check", finding.check).member("what", finding.what);
    if (!finding.why.empty()) writer.member("why", finding.why);
    if (!finding.remedy.empty()) writer.member("remedy", finding.remedy);
    writer.end_object();
  }
  writer.end_array().end_object();
  std::cout << text << '\n';
}

int fail(Error const &error) {
  std::cerr << "imdsgate: " << error.detail << '\n';
  return 1;
}

int doctor(Options const &options) {
  auto const configuration = options.configuration.load(ConfigurationOption::Warnings::leave_out);
  if (!configuration) return 2;
  auto const &settings = configuration->settings;
  if (!options.netns.empty()) {
    if (auto entered = enter_network_namespace(options.netns); !entered) return fail(entered.error());
  }
  auto const situation = situation_of(settings, firewall_spec(settings).backend);
  if (!situation) return fail(situation.error());
  auto seen = observe_host(*situation);
  auto const read = situation->daemon ? from_daemon(settings, seen) : from_files(settings, seen);
  if (!read) seen.unknown = read.error();
  auto const findings = diagnose(seen);
  if (options.as_json) {
    print_json(findings);
  } else {
    print(findings);
  }
  return std::ranges::count(findings, Health::problem, &HealthFinding::health) == 0 ? 0 : 1;
}

}  // namespace

void add_doctor(CLI::App &app, int &exit_code) {
  auto const options = std::make_shared<Options>();
  auto *command = app.add_subcommand("doctor", "What would let a request past the gateway, or break the host");
  options->configuration.add_to(*command);
  command->add_option("--netns", options->netns, "another network namespace: a name of `ip netns`, or a path");
  command->add_flag("--json", options->as_json, "Print the findings as JSON");
  command->footer("Exit status: 0 no problem, 1 problems, 2 usage or configuration error.");
  command->callback([options, &exit_code] { exit_code = doctor(*options); });
}

}  // namespace imdsgate
