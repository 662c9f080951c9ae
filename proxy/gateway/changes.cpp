#include "gateway/changes.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace imdsgate {

namespace asio = boost::asio;
namespace json = boost::json;

void Changes::look_for_older_connections() {
  asio::co_spawn(parts_.loop, parts_.older_connections.look(), asio::detached);
}

void Changes::tell_of_host_rules(Error const &error) {
  announce(Lifecycle::drift, true, "what was taken over of the host's own rules stays as it was: " + error.detail);
}

asio::awaitable<void> Changes::look_at_host_rules(bool told) {
  auto const look = co_await parts_.configuration.look_at_host_rules_again(parts_.worker, told);
  if (look.error) tell_of_host_rules(*look.error);
  if (!look.changed) co_return;
  parts_.gateway.use(parts_.configuration.policies());
  std::string const now = parts_.configuration.existing();
  std::string const message = "the host's own rules were changed and are taken over as they are now" + (now.empty() ? ": they keep nobody away" : ":\n" + now);
  std::map<std::string, std::string> details;
  if (!now.empty()) details["existing"] = now;
  announce(Lifecycle::existing_changed, false, message, std::nullopt, std::move(details));
}

asio::awaitable<json::object> Changes::set_mode(Mode mode, ControlPeer peer) {
  auto const before = parts_.gateway.mode();
  parts_.gateway.set_mode(mode);
  auto const applied = co_await parts_.interception.apply(mode);
  look_for_older_connections();
  announce(Lifecycle::mode_changed, false,
           "mode " + std::string(to_string(before)) + " → " + std::string(to_string(mode)) +
               ", until a reload or a restart returns to what " + parts_.configuration.mode_source() + " says",
           peer, {{"previous_mode", std::string(to_string(before))}});
  json::object reply{{"mode", to_string(mode)}};
  if (!applied) {
    announce(Lifecycle::drift, true, "the firewall does not fit the mode: " + applied.error().detail);
    reply["error"] = "the mode is changed; the firewall is not: " + applied.error().detail;
  }
  co_return reply;
}

asio::awaitable<json::object> Changes::reload(std::optional<ControlPeer> peer) {
  auto const reloaded = co_await parts_.configuration.reload(parts_.worker);
  parts_.metrics.count_reload(reloaded.errors.empty());
  json::object reply;
  if (!reloaded.errors.empty()) {
    json::array problems;
    std::string text = "the configuration has errors, the old policy stays:";
    for (auto const &problem : reloaded.errors) {
      problems.emplace_back(problem.to_string());
      text += "\n  " + problem.to_string();
    }
    announce(Lifecycle::reload_failed, true, std::move(text), peer);
    co_return json::object{{"error", "the configuration has errors, the old policy stays"}, {"problems", problems}};
  }
  if (auto const &error = reloaded.host_rules) tell_of_host_rules(*error);
  auto const &settings = parts_.configuration.settings();
  parts_.gateway.reload(settings, parts_.configuration.policies());
  parts_.interception.reload(settings);
  if (auto guarded = parts_.who_asks.tier().reload(settings); !guarded) {
    announce(Lifecycle::drift, true, guarded.error().detail);  // those that are new are the prober's
  }
  auto const applied = co_await parts_.interception.apply(settings.mode);
  look_for_older_connections();
  std::string message = "configuration read again; mode " + std::string(to_string(settings.mode)) + " as " + parts_.configuration.mode_source() + " says";
  auto const &restart = reloaded.needs_restart;
  if (!restart.empty()) message += "; needs a restart to take effect: " + restart;
  announce(Lifecycle::reloaded, false, std::move(message), peer);
  reply["mode"] = to_string(settings.mode);
  if (!restart.empty()) reply["needs_restart"] = restart;
  if (!applied) {
    announce(Lifecycle::drift, true, "the firewall could not be brought up to date: " + applied.error().detail);
    reply["error"] = "the policy is new; the firewall is not: " + applied.error().detail;
  }
  co_return reply;
}

}  // namespace imdsgate
