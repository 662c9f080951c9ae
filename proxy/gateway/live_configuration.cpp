#include "gateway/live_configuration.hpp"

#include <algorithm>
#include <iterator>

#include "gateway/root_dialler.hpp"
#include "gateway/start_up.hpp"
#include "intercept/xtables.hpp"

namespace imdsgate {
namespace {

struct Found {
  Configuration configuration;
  std::string needs_restart;
  std::optional<Result<HostRules>> host_rules;  // nullopt: they are not looked at
};

Found look_again(RunOptions const &options, Settings const &running, bool any_taken_over) {
  Found found{load_configuration(options.configuration, options.named), {}, {}};
  if (!found.configuration.ok()) return found;
  auto &settings = found.configuration.settings;
  if (guards_wireserver(settings.endpoints) && !guards_wireserver(running.endpoints)) {
    found.configuration.problems.push_back(
        {options.configuration.string(), 0, 0, false,
         "`endpoints` name WireServer: that needs a restart, since what dials it as uid 0 is started with the daemon"});
    return found;
  }
  if (options.mode) settings.mode = *options.mode;
  found.needs_restart = needs_restart(running, settings);
  keep_what_needs_restart(running, settings);
  bool const any = any_taken_over || guards_wireserver(settings.endpoints);
  if (any || settings.existing == Existing::translate) found.host_rules = look_at_host_rules(settings);
  return found;
}

}  // namespace

LiveConfiguration::LiveConfiguration(RunOptions const &options, Configuration configuration)
    : options_(options), settings_(std::move(configuration.settings)), policies_(std::move(configuration.policies)) {
  if (options_.mode) settings_.mode = *options_.mode;
}

Result<void> LiveConfiguration::stand_beside_host_rules() {
  auto rules = look_at_host_rules(settings_);
  if (!rules) return rules.error();
  take_over(*std::move(rules));
  return {};
}

boost::asio::awaitable<LiveConfiguration::Reload> LiveConfiguration::reload(Worker &worker) {
  bool const any = !host_rules_.denials.empty() || !host_rules_.left_out.empty();
  auto const look = [options = options_, running = settings_, any] { return look_again(options, running, any); };
  auto found = co_await run_on(worker, look);
  Reload result;
  auto &configuration = found.configuration;
  if (!configuration.ok()) {
    std::ranges::copy_if(configuration.problems, std::back_inserter(result.errors),
                         [](Problem const &problem) { return !problem.warning; });
    co_return result;
  }
  ++reloads_;
  result.needs_restart = std::move(found.needs_restart);
  settings_ = std::move(configuration.settings);
  policies_ = std::move(configuration.policies);
  bool const failed = found.host_rules && !*found.host_rules;
  if (failed) result.host_rules = found.host_rules->error();
  // The redirect stands, so what cannot be found out now is as it was.
  if (found.host_rules) take_over(failed ? host_rules_ : **std::move(found.host_rules));
  co_return result;
}

boost::asio::awaitable<LiveConfiguration::Look> LiveConfiguration::look_at_host_rules_again(Worker &worker, bool told) {
  bool const concerned = settings_.existing == Existing::translate || guards_wireserver(settings_.endpoints);
  if (!concerned && host_rules_.denials.empty()) co_return Look{};
  auto const look = [settings = settings_, told]() -> std::optional<Result<HostRules>> {
    if (!told && !legacy_tables_in_use()) return std::nullopt;
    return look_at_host_rules(settings);
  };
  auto const reloads = reloads_;
  auto found = co_await run_on(worker, look);
  Look result;
  if (!found || reloads != reloads_) co_return result;
  bool const failed = !*found;
  std::string const error = failed ? found->error().detail : "";
  if (failed && error != last_error_) result.error = found->error();
  last_error_ = error;
  result.changed = !failed && (*found)->denials != host_rules_.denials;
  if (result.changed) {
    host_rules_.denials = std::move((*found)->denials);
    policies_ = beside_host_rules(policies_, host_rules_.denials, host_rules_.left_out);
  }
  co_return result;
}

void LiveConfiguration::take_over(HostRules rules) {
  host_rules_ = std::move(rules);
  leave_out(host_rules_.left_out, settings_.endpoints);
  policies_ = beside_host_rules(policies_, host_rules_.denials, host_rules_.left_out);
}

std::string LiveConfiguration::existing() const {
  std::string text;
  for (auto const &denial : host_rules_.denials) text += (text.empty() ? "" : "\n") + denial.to_string();
  return text;
}

}  // namespace imdsgate
