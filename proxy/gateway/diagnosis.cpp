#include "gateway/diagnosis.hpp"

#include <span>

namespace imdsgate {
namespace {

using Findings = std::vector<HealthFinding>;

void ok(Findings &to, char const *check, std::string what) { to.push_back({Health::ok, check, std::move(what), {}, {}}); }

std::string joined(std::vector<std::string> const &parts) {
  std::string text;
  for (auto const &part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

// Many lines of an error become one.
std::string on_one_line(std::string text) {
  std::string line;
  for (std::size_t at = 0; at < text.size(); ++at) {
    bool const next = text[at] == '\n';
    if (next) {
      line += ';';
      while (at + 1 < text.size() && (text[at + 1] == ' ' || text[at + 1] == '\n')) ++at;
      line += ' ';
    } else {
      line += text[at];
    }
  }
  return line;
}

void cannot_tell(Findings &to, char const *check, Error const &error) {
  to.push_back({Health::warning, check, "not known: " + on_one_line(error.detail),
                "what cannot be looked at may be wrong", "run doctor as root, in the namespaces of the host"});
}

// Each of a list, at most kListed, and one more that says how many are left out.
template <class Item, class Tell>
void list(Findings &to, std::vector<Item> const &items, Tell tell) {
  auto const shown = std::span(items).first(std::min(items.size(), kListed));
  for (auto const &item : shown) to.push_back(tell(item));
  if (items.size() == shown.size()) return;
  HealthFinding more = to.back();
  more.what = "and " + std::to_string(items.size() - shown.size()) + " more";
  to.push_back(std::move(more));
}

// What is seen of something that had better not be there: unknown, `none`, or each.
template <class Item, class Tell>
void tell_of(Findings &to, char const *check, Result<std::vector<Item>> const &seen, char const *none, Tell tell) {
  if (!seen) return cannot_tell(to, check, seen.error());
  if (seen->empty()) return ok(to, check, none);
  list(to, *seen, tell);
}

bool enforces(HostObservations const &seen) {
  return (seen.daemon ? seen.daemon->mode : seen.configured) == Mode::enforce;
}

bool fence_stands(HostObservations const &seen) {
  if (!seen.firewall) return false;
  for (auto const &family : seen.firewall->families) {
    if (family.fence) return true;
  }
  return false;
}

void on_privilege(Findings &to, HostObservations const &seen) {
  if (seen.by_root) return;
  to.push_back({Health::warning, "privilege", "not run by root", "most of what matters is for root to see", "sudo imdsgate doctor"});
}

void on_daemon(Findings &to, HostObservations const &seen) {
  if (!seen.daemon) {
    auto const &error = seen.daemon.error();
    if (error.code == Errc::refused) return cannot_tell(to, "daemon", error);
    to.push_back({Health::problem, "daemon", error.detail,
                  fence_stands(seen) ? "the fence stands, so no process of this host gets any metadata"
                                     : "requests go to the metadata service unseen",
                  "systemctl start imdsgate"});
    return;
  }
  ok(to, "daemon", "runs in " + std::string(to_string(seen.daemon->mode)));
  if (!seen.daemon->redirect) {
    to.push_back({Health::problem, "daemon", "it took its redirect out, because its own connections came back to it",
                  "metadata traffic is not seen", "remove the rule that wipes its mark (CONNMARK --restore-mark), then imdsgate reload"});
  }
  if (seen.daemon->events_dropped > 0) {
    to.push_back({Health::warning, "events", std::to_string(seen.daemon->events_dropped) + " events were dropped since it started",
                  "a sink could not take them", "see events_dropped in imdsgate status"});
  }
}

void on_capabilities(Findings &to, HostObservations const &seen) {
  if (seen.daemon || !seen.by_root) return;
  for (auto const &line : seen.missing_capabilities) {
    to.push_back({Health::problem, "capabilities", line, "the daemon would not start from here", "take it out of what bounds this shell, or start the unit"});
  }
  if (seen.missing_capabilities.empty()) ok(to, "capabilities", "all that the daemon needs");
}

void on_kernel(Findings &to, HostObservations const &seen) {
  if (!seen.rehearsal) {
    auto const health = seen.by_root ? Health::problem : Health::warning;
    to.push_back({health, "kernel", "redirect and fence could not be tried: " + on_one_line(seen.rehearsal.error().detail),
                  "the gateway cannot arm without them", "install iptables; load the kernel's nat, REDIRECT, owner, mark and cgroup matches"});
  } else {
    ok(to, "kernel", "redirect, fence, owner, mark and cgroup matches work (tried in a network namespace of their own)");
  }
  for (auto const &note : seen.rehearsal_notes) {
    to.push_back({Health::warning, "kernel", note, "that family is not guarded", "install ip6tables, or do without IPv6"});
  }
  if (seen.sock_destroy) {
    ok(to, "sock_destroy", "connections older than the redirect can be reset");
  } else {
    to.push_back({Health::warning, "sock_destroy", "no: " + seen.sock_destroy.error().detail,
                  "in enforce, connections older than the redirect are stopped by the fence alone: an answer on its way still arrives",
                  "a kernel with CONFIG_INET_DIAG_DESTROY; as root"});
  }
  if (!seen.listen_unix) return;
  if (seen.peer_pidfd) return ok(to, "peer_pidfd", "SO_PEERPIDFD is there");
  to.push_back({Health::warning, "peer_pidfd", "no: " + seen.peer_pidfd.error().detail,
                "on listen.unix a client that ended and whose number is another's by now is not told apart for certain",
                "Linux 6.5, or no listen.unix"});
}

void on_attribution(Findings &to, HostObservations const &seen) {
  if (!seen.daemon && seen.daemon.error().code == Errc::refused) return;  // it has them, and does not tell
  auto const without_bpf = [&](std::string const &why) {
    if (seen.attribution == AttributionChoice::sock_diag) return ok(to, "attribution", "sock_diag, as configured");
    to.push_back({Health::warning, "attribution", "sock_diag, because of BPF: " + why,
                  "a client that is gone before it is looked at is not named", "a kernel with BTF and BPF; CAP_BPF and CAP_PERFMON for the unit"});
  };
  if (seen.daemon) {
    if (seen.daemon->attribution == "bpf") ok(to, "attribution", "bpf");
    else without_bpf(seen.daemon->why_not_bpf);
  } else if (seen.bpf) {
    ok(to, "attribution", "it would be bpf");
  } else {
    without_bpf(seen.bpf.error().detail);
  }
  auto const &not_seen = seen.daemon ? seen.daemon->not_seen : seen.not_seen;
  if (!not_seen.empty()) {
    to.push_back({Health::warning, "attribution", "it does not see " + not_seen, "who asks from there is not named",
                  "start the daemon in the host's pid namespace"});
  }
  auto const source = seen.daemon ? seen.daemon->exec_events
                      : seen.exec_events ? *seen.exec_events
                                         : "none: " + seen.exec_events.error().detail;
  if (!source.starts_with("none")) return ok(to, "exec_events", source);
  to.push_back({Health::warning, "exec_events", source, "a rule's sequence is joined through the requester's own exec alone",
                "start the daemon in the host's network, pid and user namespaces"});
}

void on_firewall(Findings &to, HostObservations const &seen) {
  if (!seen.firewall) return cannot_tell(to, "firewall", seen.firewall.error());
  for (auto const &family : seen.firewall->families) {
    std::string const name = family.ipv6 ? "IPv6" : "IPv4";
    if (family.as_specified) {
      ok(to, "firewall", name + ": as specified");
      continue;
    }
    to.push_back({Health::problem, "firewall", name + ": " + joined(family.differences),
                  enforces(seen) ? "requests may go past the gateway, or be refused" : "requests may go past the gateway",
                  seen.daemon ? "find who changed it; the daemon puts it back within ten seconds" : "imdsgate intercept install, or start the daemon"});
  }
  for (auto const &note : seen.firewall->notes) {
    to.push_back({Health::warning, "firewall", note, "that family is not guarded", "nothing, where the host does not speak it"});
  }
}

void on_other_rules(Findings &to, HostObservations const &seen) {
  if (!seen.host_rules) {
    bool const beside = seen.existing == Existing::ignore;
    if (seen.host_rules.error().code != Errc::refused) return cannot_tell(to, "other_rules", seen.host_rules.error());
    to.push_back({beside ? Health::warning : Health::problem, "other_rules", on_one_line(seen.host_rules.error().detail),
                  beside ? "the gateway arms beside them as configured: they may lead traffic past it, or keep nobody away any more"
                         : "the daemon does not start beside them; where it runs they came later, and may lead traffic past it",
                  "remove them, or see existing: in docs/operations.md"});
    return;
  }
  for (auto const &note : seen.host_rules->notes()) {
    ok(to, "other_rules", on_one_line(note));
  }
  if (seen.host_rules->notes().empty()) ok(to, "other_rules", "none about a guarded address");
}

void on_host(Findings &to, HostObservations const &seen) {
  if (seen.unprivileged_port_start <= seen.listen_port) {
    to.push_back({Health::problem, "port", "any user may listen on port " + std::to_string(seen.listen_port) + " (ip_unprivileged_port_start is " +
                      std::to_string(seen.unprivileged_port_start) + ")",
                  "whoever takes it while the daemon is stopped keeps it from starting, or is asked in its place",
                  "a listen.port below it, or a higher net.ipv4.ip_unprivileged_port_start"});
  } else {
    ok(to, "port", std::to_string(seen.listen_port) + " is for root only");
  }
  if (!seen.conntrack || seen.conntrack->second == 0) return;
  auto const [entries, limit] = *seen.conntrack;
  auto const text = std::to_string(entries) + " of " + std::to_string(limit) + " entries are used";
  if (entries < limit / 10 * 9) return ok(to, "conntrack", text);
  to.push_back({Health::problem, "conntrack", text, "the redirect has every connection of the host tracked, and a full table refuses new ones",
                "a higher net.netfilter.nf_conntrack_max"});
}

// Nothing to say where `containers` is off.
void on_containers(Findings &to, HostObservations const &seen) {
  if (!seen.bridges) return cannot_tell(to, "containers", seen.bridges.error());
  for (auto const &each : *seen.bridges) {
    if (auto const wrong = why_not_bridge(each)) {
      to.push_back({Health::problem, "containers", *wrong, "what comes over it is not intercepted", "name only bridges of this host's own"});
    } else if (!each.there) {
      to.push_back({Health::warning, "containers", "there is no bridge " + each.name, "nothing comes over it yet",
                    "start the container runtime, or correct the name"});
    } else {
      ok(to, "containers", "what comes over " + each.name + " is intercepted");
    }
  }
  bool const named = seen.daemon ? seen.daemon->attribution == "bpf" : bool(seen.bpf);
  if (seen.bridges->empty() || named) return;
  to.push_back({Health::problem, "containers", "attribution is not bpf", "nobody in another network namespace is named, so all of them are refused, in audit, too",
                "see attribution above; or leave `containers` out"});
}

void on_ways_past(Findings &to, HostObservations const &seen) {
  tell_of(to, "older_connections", seen.older, "none to a guarded address", [&](OlderSeen const &each) {
    return HealthFinding{enforces(seen) ? Health::problem : Health::warning, "older_connections",
                         each.connection + ", held by " + each.owner, "it is older than the redirect and goes past the gateway",
                         "restart that program, or imdsgate mode enforce, which resets it"};
  });
  tell_of(to, "namespaces", seen.namespaces, "every process is in the guarded network namespace", [&](NamespaceSeen const &each) {
    bool const bridged = seen.bridges && !seen.bridges->empty();
    return HealthFinding{Health::warning, "namespaces",
                         "network namespace " + std::to_string(each.inode) + " with " + std::to_string(each.processes) +
                             (each.processes == 1 ? " process: " : " processes, one of them ") + each.example,
                         bridged ? "its traffic is intercepted only where it comes over a bridge that `containers` names"
                                 : "its traffic is not intercepted: a container's requests reach the metadata service if the host forwards them",
                         "name its bridge in `containers`, guard it with a daemon of its own (run --netns), keep containers from 169.254.169.254, or set the instance's hop limit to 1"};
  });
  tell_of(to, "capable_processes", seen.powerful, "none but root's has NET_ADMIN or NET_RAW", [](PowerfulSeen const &each) {
    return HealthFinding{Health::warning, "capable_processes", each.process + " has " + each.capabilities,
                         "it can change the firewall, or set the gateway's mark and craft packets", "take the capability from it if it can do without"};
  });
}

void on_unknown_paths(Findings &to, HostObservations const &seen) {
  if (!seen.unknown) return cannot_tell(to, "unknown_paths", seen.unknown.error());
  if (seen.unknown->empty()) return ok(to, "unknown_paths", "none asked for");
  list(to, *seen.unknown, [](UnknownSeen const &each) {
    return HealthFinding{Health::warning, "unknown_paths",
                         each.request + ", " + std::to_string(each.count) + " times, last by " + (each.last_by.empty() ? "nobody that could be named" : each.last_by),
                         "no entry of the catalogue knows it, so it has the class general whatever lies behind it",
                         "look at what it answers; deny it, or unknown: block"};
  });
  if (seen.unknown_forgotten > 0) {
    to.push_back({Health::warning, "unknown_paths", "and " + std::to_string(seen.unknown_forgotten) + " that had to make room",
                  "somebody tries many paths", "see the events with imdsgate.path_known: false"});
  }
}

}  // namespace

std::string_view to_string(Health health) {
  switch (health) {
    case Health::ok: return "ok";
    case Health::warning: return "warning";
    case Health::problem: return "problem";
  }
  __builtin_unreachable();
}

std::vector<HealthFinding> diagnose(HostObservations const &seen) {
  Findings findings;
  for (auto const part : {on_privilege, on_daemon, on_capabilities, on_kernel, on_attribution, on_firewall, on_other_rules, on_host,
                          on_containers, on_ways_past, on_unknown_paths}) {
    part(findings, seen);
  }
  return findings;
}

}  // namespace imdsgate
