#include "gateway/observe_host.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "attribute/bpf_connections.hpp"
#include "attribute/bypassing.hpp"
#include "attribute/client_sockets.hpp"
#include "attribute/pid_namespace.hpp"
#include "attribute/prober_client.hpp"
#include "gateway/exec_feed.hpp"
#include "gateway/observe_processes.hpp"
#include "gateway/start_up.hpp"
#include "intercept/descriptor.hpp"
#include "intercept/rehearsal.hpp"

namespace imdsgate {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

constexpr auto kNameWithin = std::chrono::seconds(10);

template <class Number>
std::optional<Number> number_in(char const *path) {
  Number number{};
  if (!(std::ifstream(path) >> number)) return std::nullopt;
  return number;
}

std::string text_of(json::object const &object, std::string_view key) {
  auto const *value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

DaemonSeen seen_of(json::object const &status) {
  DaemonSeen seen;
  seen.mode = text_of(status, "mode") == "enforce" ? Mode::enforce : Mode::audit;
  auto const is_true = [&](char const *key) { return status.contains(key) && status.at(key) == true; };
  seen.redirect = is_true("redirect");
  seen.fence = is_true("fence");
  seen.attribution = text_of(status, "attribution");
  seen.why_not_bpf = text_of(status, "attribution_not_bpf");
  seen.not_seen = text_of(status, "attribution_not_seen");
  seen.exec_events = text_of(status, "exec_events");
  if (auto const *dropped = status.if_contains("events_dropped"); dropped != nullptr && dropped->is_object()) {
    for (auto const &[sink, count] : dropped->get_object()) seen.events_dropped += count.to_number<std::uint64_t>();
  }
  return seen;
}

Result<void> peer_pidfd() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Error{Errc::system, std::strerror(errno)};
  Descriptor const one(ends[0]), other(ends[1]);
  int fd = -1;
  socklen_t size = sizeof fd;
  if (::getsockopt(one.get(), SOL_SOCKET, SO_PEERPIDFD, &fd, &size) != 0) return Error{Errc::system, std::strerror(errno)};
  Descriptor const pidfd(fd);
  return {};
}

// A kernel that can do it does not find such a socket.
Result<void> sock_destroy() {
  auto diag = SockDiag::open();
  if (!diag) return diag.error();
  TcpSocket nobody;
  nobody.client = nobody.original = {Address::from_v4({127, 0, 0, 1}), 0};
  auto const destroyed = diag->destroy(nobody);
  if (!destroyed && destroyed.error().code != Errc::not_found) return destroyed.error();
  return {};
}

std::string owner_told(AttributionResult const &who) {
  if (!who) return "nobody that could be named (" + std::string(name(who.error().reason)) + ')';
  std::string text;
  for (auto const &holder : who->holders) {
    auto const &process = holder->process;
    text += (text.empty() ? "" : " and ") + process.name().value_or(process.comm) + " (pid " +
            std::to_string(process.id.tgid) + ", uid " + std::to_string(process.effective_uid) + ')';
  }
  return text;
}

asio::awaitable<void> name_owners(Attributor &attributor, ClientSockets &sockets, std::vector<TcpSocket> const &connections,
                                  std::vector<OlderSeen> &seen) {
  for (std::size_t i = 0; i < connections.size() && i < kListed; ++i) {
    Flow flow;
    flow.client = flow.local = connections[i].client;
    flow.original = connections[i].original;
    sockets.look_up(flow);
    auto const who = co_await attributor.attribute(flow, 0);
    seen[i].owner = owner_told(who);
  }
}

Result<std::vector<OlderSeen>> older_connections(HostSituation const &situation) {
  auto const &[settings, spec, host_rules, daemon] = situation;
  auto bypassing = Bypassing::open();
  if (!bypassing) return bypassing.error();
  auto connections = bypassing->list(spec.endpoints, settings.listen_port);
  if (!connections) return connections.error();
  // The daemon's own, upstream, and its dialler's.
  std::erase_if(*connections, [&](TcpSocket const &each) {
    bool const by_root = std::ranges::find(spec.dialled_as_root, each.original) != spec.dialled_as_root.end();
    return daemon && (each.mark & settings.mark_mask) == settings.mark &&
           (each.id.uid == spec.exemption.uid || (by_root && each.id.uid == 0));
  });
  std::vector<OlderSeen> seen;
  for (auto const &each : *connections) {
    seen.push_back({each.client.to_string() + " → " + each.original.to_string(), "uid " + std::to_string(each.id.uid)});
  }
  auto sockets = ClientSockets::open();
  asio::io_context loop;
  auto prober = seen.empty() || !sockets ? Error{Errc::system, "nothing to ask"} : ProberClient::spawn(loop.get_executor(), {});
  if (!prober) return seen;
  auto const done = [&](std::exception_ptr) { (*prober)->close(); };
  asio::co_spawn(loop, name_owners(**prober, *sockets, *connections, seen), done);
  loop.run_for(kNameWithin);
  return seen;
}

// The same look as at start, whatever `existing` says.
Result<HostRules> rules_of_others(HostSituation const &situation) {
  if (situation.settings.existing != Existing::ignore) return situation.host_rules;
  auto settings = situation.settings;
  settings.existing = Existing::refuse;
  return look_at_host_rules(settings, {situation.spec.exemption.uid, {}});
}

void observe_without_daemon(HostSituation const &situation, HostObservations &seen) {
  seen.missing_capabilities = missing_capabilities(capabilities_of_a_run(situation.settings));
  if (seen.attribution != AttributionChoice::sock_diag) {
    auto const connections = BpfConnections::load(situation.spec.endpoints);
    if (!connections) seen.bpf = connections.error();
  } else {
    seen.bpf = Error{Errc::refused, "attribution: sock_diag"};
  }
  seen.not_seen = what_is_not_seen();
  auto const queue = open_exec_queue(seen.attribution);
  seen.exec_events = queue ? Result<std::string>(std::string("it would be ") + queue->source) : queue.error();
}

}  // namespace

HostObservations observe_host(HostSituation const &situation) {
  auto const &settings = situation.settings;
  HostObservations seen;
  seen.by_root = ::geteuid() == 0;
  seen.configured = settings.mode;
  seen.listen_port = settings.listen_port;
  seen.listen_unix = settings.listen_unix.has_value();
  seen.existing = settings.existing;
  seen.attribution = settings.attribution;
  pid_t daemon_pid = 0;
  if (situation.daemon) {
    seen.daemon = seen_of(*situation.daemon);
    daemon_pid = situation.daemon->at("pid").to_number<pid_t>();
  } else {
    seen.daemon = situation.daemon.error();
    observe_without_daemon(situation, seen);
  }
  seen.rehearsal = rehearse_firewall(situation.spec, seen.rehearsal_notes);
  seen.firewall = firewall_status(situation.spec);
  seen.host_rules = rules_of_others(situation);
  seen.sock_destroy = sock_destroy();
  seen.peer_pidfd = peer_pidfd();
  seen.unprivileged_port_start = number_in<unsigned>("/proc/sys/net/ipv4/ip_unprivileged_port_start").value_or(1024);
  auto const entries = number_in<std::uint64_t>("/proc/sys/net/netfilter/nf_conntrack_count");
  auto const limit = number_in<std::uint64_t>("/proc/sys/net/netfilter/nf_conntrack_max");
  if (entries && limit) seen.conntrack.emplace(*entries, *limit);
  seen.older = older_connections(situation);
  seen.bridges = look_at_interfaces(settings.bridges);
  seen.namespaces = other_network_namespaces();
  seen.powerful = capable_processes(daemon_pid > 0 ? process_tree(daemon_pid) : std::set<pid_t>{});
  return seen;
}

}  // namespace imdsgate
