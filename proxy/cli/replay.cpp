#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "cli/cli.hpp"
#include "cli/recorded_alerts.hpp"
#include "gateway/settings_reader.hpp"
#include "rules/load_rules.hpp"

namespace imdsgate {
namespace {

struct Options {
  std::vector<std::string> rules;
  std::string max_alerts;
  std::string events;

  std::optional<int> limit() const {
    if (max_alerts.empty()) return std::nullopt;
    return max_alerts == "none" ? -1 : std::stoi(max_alerts);
  }
};

// nullopt: a problem is an error; all of them have been printed.
std::optional<RecordedAlerts::Rules> load(std::vector<std::string> const &files) {
  RecordedAlerts::Rules rules;
  bool ok = true;
  auto const fail = [&](std::string const &text) {
    std::cerr << text << '\n';
    ok = false;
  };
  for (auto const &file : files) {
    auto const text = read_text_file(file);
    if (!text) {
      fail(file + ": " + text.error().detail);
      continue;
    }
    auto loaded = load_rules(*text, file);
    for (auto const &problem : loaded.problems) std::cerr << problem.to_string() << '\n';
    ok = ok && loaded.ok();
    for (auto &rule : loaded.rules) {
      auto const same = [&](std::shared_ptr<Rule const> const &other) { return other->id == rule->id; };
      if (std::any_of(rules.begin(), rules.end(), same)) fail(file + ": a rule with the id " + rule->id + " is there already");
      rules.push_back(std::move(rule));
    }
  }
  if (!ok) return std::nullopt;
  return rules;
}

int replay(Options const &options) {
  auto rules = load(options.rules);
  auto const file = open_seekable(options.events);
  if (!file) std::cerr << "imdsgate: " << file.error().detail << '\n';
  if (!rules || !file) return 2;

  RecordedAlerts alerts(std::move(*rules), options.limit());
  LineReader lines(::fileno(file->get()));
  std::uint64_t malformed = 0;
  PlaybackListener listener;
  listener.event = [&](RecordedEvent const &event) { alerts.event(event); };
  listener.malformed = [&](std::uint64_t line, std::string_view why) {
    ++malformed;
    std::cerr << options.events << ':' << line + 1 << ": " << why << '\n';
  };
  listener.start_over = [&] { alerts.start_over(); };
  auto const played = Playback(lines, alerts.fields()).run(listener);
  alerts.end();
  auto const written = alerts.lines().write_to(STDOUT_FILENO);

  for (auto const *error : {&played, &written}) {
    if (!*error) std::cerr << "imdsgate: " << error->error().detail << '\n';
  }
  if (malformed > 0) std::cerr << "imdsgate: " << malformed << " lines were skipped: no events\n";
  if (alerts.refused() > 0) {
    std::cerr << "imdsgate: " << alerts.refused() << " beginnings of sequences were not kept: too many at once\n";
  }
  if (alerts.uncombined() > 0) {
    std::cerr << "imdsgate: " << alerts.uncombined() << " events were joined under 16 of their keys only\n";
  }
  if (auto const terms = eql::terms_not_all_tried(); terms > 0) {
    std::cerr << "imdsgate: " << terms << " times not every combination of values was tried: too many\n";
  }
  return played && written && malformed == 0 && alerts.refused() == 0 ? 0 : 1;
}

std::string checked_limit(std::string const &text) {
  if (text == "none") return {};
  bool const digits = !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == text.npos;
  return digits ? std::string() : "expected a whole number or none, found " + text;
}

}  // namespace

void add_replay(CLI::App &app, int &exit_code) {
  auto const options = std::make_shared<Options>();
  auto *command = app.add_subcommand("replay", "Evaluate rules over recorded ECS events; one alert a line on stdout");
  command->add_option("--rule", options->rules, "A rule file: YAML, Kibana's export, or the TOML of the public rules repository; may be repeated")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--max-alerts", options->max_alerts, "In place of every rule's own limit an interval: a number, or none")
      ->check(CLI::Validator(checked_limit, "N|none"));
  command->add_option("EVENTS", options->events, "The events, one JSON object a line, in any order; - is standard input")->required();
  command->footer(
      "@timestamp is ISO 8601 or milliseconds since the epoch; keys may be nested or dotted. A line that is no event is named on\n"
      "stderr and skipped. Alerts are written at the end, in the order of the events that complete them.\n"
      "Exit status: 0 done, 1 lines were skipped or it failed, 2 usage, a broken rule, or events that cannot be read.");
  command->callback([options, &exit_code] { exit_code = replay(*options); });
}

}  // namespace imdsgate
