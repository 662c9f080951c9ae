#include "gateway/host_situation.hpp"

#include <algorithm>
#include <string>

#include "gateway/control.hpp"
#include "intercept/bridges.hpp"
#include "intercept/exemption.hpp"
#include "intercept/local_addresses.hpp"

namespace imdsgate {

namespace json = boost::json;

namespace {

Result<json::object> ask_status(Settings const &settings) {
  auto reply = ask_daemon(settings.control_socket, {{"command", "status"}});
  if (!reply) return reply;
  if (auto const *ok = reply->if_contains("ok"); ok != nullptr && *ok == true) return reply;
  auto const *error = reply->if_contains("error");
  bool const said = error != nullptr && error->is_string();
  return Error{Errc::refused, said ? std::string(error->get_string()) : "the daemon does not tell its status"};
}

// A running daemon knows better than the file: its own uid and cgroup, the mode it was switched to, and what it found
// to be the ECS agent's.
void follow_daemon(json::object const &status, FirewallSpec &spec) {
  spec.exemption.uid = status.at("uid").to_number<uid_t>();
  std::string const cgroup(status.at("cgroup").as_string());
  spec.exemption.cgroup = cgroup.empty() ? std::nullopt : std::optional(cgroup);
  spec.fence = status.at("mode") == "enforce";
  if (auto const *left_out = status.if_contains("not_guarded"); left_out != nullptr && left_out->is_array()) {
    std::erase_if(spec.endpoints, [&](Endpoint const &endpoint) {
      auto const &texts = left_out->get_array();
      return std::ranges::find(texts, json::value(endpoint.to_string())) != texts.end();
    });
  }
}

}  // namespace

Result<HostSituation> situation_of(Settings const &settings, std::optional<FirewallBackend> backend) {
  FirewallSpec spec = firewall_spec(settings);
  spec.exemption = find_exemption(settings.mark, settings.mark_mask, settings.listen_port);
  spec.fence = settings.mode == Mode::enforce;
  auto daemon = ask_status(settings);
  if (daemon) follow_daemon(*daemon, spec);
  spec.backend = backend;
  auto const addresses = read_local_addresses();
  if (!addresses) return addresses.error();
  spec.interfaces = addresses->listenable;
  auto const bridges = look_at_interfaces(spec.bridges);
  if (!bridges) return bridges.error();
  for (auto const &each : *bridges) {
    if (why_not_bridge(each)) std::erase(spec.bridges, each.name);
  }
  // By uid alone: which group the daemon is in is known when it starts.
  auto host_rules = look_at_host_rules(settings, {spec.exemption.uid, {}});
  if (host_rules && !daemon) leave_out(host_rules->left_out, spec.endpoints);
  return HostSituation{settings, std::move(spec), std::move(host_rules), std::move(daemon)};
}

}  // namespace imdsgate
