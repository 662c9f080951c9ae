#include "gateway/diagnosis.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imdsgate {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

Error const kUnseen{Errc::system, "may not be read"};

HostObservations healthy() {
  HostObservations seen;
  seen.daemon = DaemonSeen{Mode::enforce, true, true, "bpf", {}, "bpf", 0};
  FirewallStatus::Family family;
  family.redirect = family.fence = family.as_specified = true;
  seen.firewall = FirewallStatus{{family}, {}};
  seen.conntrack.emplace(10, 65536);
  seen.exec_events = std::string("it would be bpf");
  return seen;
}

// "problem firewall" of each that is not ok, in order.
std::vector<std::string> complaints(HostObservations const &seen) {
  std::vector<std::string> list;
  for (auto const &finding : diagnose(seen)) {
    EXPECT_FALSE(finding.check.empty() || finding.what.empty());
    EXPECT_EQ(finding.health == Health::ok, finding.why.empty()) << finding.check;
    EXPECT_EQ(finding.health == Health::ok, finding.remedy.empty()) << finding.check;
    EXPECT_EQ(finding.what.find('\n'), std::string::npos) << finding.what;
    if (finding.health != Health::ok) list.push_back(std::string(to_string(finding.health)) + ' ' + finding.check);
  }
  return list;
}

TEST(Diagnosis, HasNothingToSayOfAHealthyHost) {
  EXPECT_THAT(complaints(healthy()), ::testing::IsEmpty());
  std::vector<std::string> checks;
  for (auto const &finding : diagnose(healthy())) checks.push_back(finding.check);
  EXPECT_THAT(checks, ::testing::ElementsAre("daemon", "kernel", "sock_destroy", "attribution", "exec_events", "firewall", "other_rules",
                                             "port", "conntrack", "older_connections", "namespaces", "capable_processes", "unknown_paths"));
}

using Change = void (*)(HostObservations &);
struct Row {
  char const *name;
  Change change;
  std::vector<std::string> said;
};

class OneThingWrong : public ::testing::TestWithParam<Row> {};

TEST_P(OneThingWrong, IsSaid) {
  auto seen = healthy();
  GetParam().change(seen);
  EXPECT_EQ(complaints(seen), GetParam().said);
}

void audit(HostObservations &seen) { seen.daemon->mode = Mode::audit; }
void drifted(HostObservations &seen) {
  seen.firewall->families[0].as_specified = false;
  seen.firewall->families[0].differences = {"nat/IMDSGATE: the chain is missing"};
}
void old_connection(HostObservations &seen) { seen.older->push_back({"10.0.0.2:4711 → 169.254.169.254:80", "curl (pid 4, uid 1001)"}); }

INSTANTIATE_TEST_SUITE_P(Table, OneThingWrong, ::testing::Values(
    Row{"not_root", [](HostObservations &seen) { seen.by_root = false; seen.rehearsal = kUnseen; }, {"warning privilege", "warning kernel"}},
    Row{"no_daemon", [](HostObservations &seen) { seen.daemon = Error{Errc::not_found, "no daemon answers"}; }, {"problem daemon"}},
    Row{"may_not_ask", [](HostObservations &seen) { seen.daemon = Error{Errc::refused, "uid 5 may not"}; seen.bpf = kUnseen; }, {"warning daemon"}},
    Row{"bridges", [](HostObservations &seen) { seen.bridges = std::vector<NamedInterface>{{"a", true, true, false}, {"b"}, {"c", true, false, false}, {"d", true, true, true}}; },
        {"warning containers", "problem containers", "problem containers"}},
    Row{"bridge_without_bpf", [](HostObservations &seen) {
          seen.bridges = std::vector<NamedInterface>{{"a", true, true, false}}; seen.daemon->attribution = "sock_diag"; seen.daemon->why_not_bpf = "no BTF";
        }, {"warning attribution", "problem containers"}},
    Row{"redirect_out", [](HostObservations &seen) { seen.daemon->redirect = false; }, {"problem daemon"}},
    Row{"dropped", [](HostObservations &seen) { seen.daemon->events_dropped = 3; }, {"warning events"}},
    Row{"capability", [](HostObservations &seen) { seen.daemon = Error{Errc::not_found, "none"}; seen.missing_capabilities = {"CAP_NET_ADMIN is missing"}; },
        {"problem daemon", "problem capabilities"}},
    Row{"no_nat", [](HostObservations &seen) { seen.rehearsal = Error{Errc::system, "iptables-restore: no nat\n  line 2"}; }, {"problem kernel"}},
    Row{"no_ip6tables", [](HostObservations &seen) { seen.rehearsal_notes = {"no ip6tables"}; }, {"warning kernel"}},
    Row{"no_destroy", [](HostObservations &seen) { seen.sock_destroy = kUnseen; }, {"warning sock_destroy"}},
    Row{"no_pidfd_but_no_listener", [](HostObservations &seen) { seen.peer_pidfd = kUnseen; }, {}},
    Row{"no_pidfd", [](HostObservations &seen) { seen.peer_pidfd = kUnseen; seen.listen_unix = true; }, {"warning peer_pidfd"}},
    Row{"sock_diag", [](HostObservations &seen) { seen.daemon->attribution = "sock_diag"; seen.daemon->why_not_bpf = "no BTF"; }, {"warning attribution"}},
    Row{"sock_diag_chosen", [](HostObservations &seen) { seen.daemon->attribution = "sock_diag"; seen.attribution = AttributionChoice::sock_diag; }, {}},
    Row{"in_a_pid_namespace", [](HostObservations &seen) { seen.daemon->not_seen = "processes outside"; }, {"warning attribution"}},
    Row{"it_would_be_in_a_pid_namespace", [](HostObservations &seen) { seen.daemon = Error{Errc::not_found, "none"}; seen.not_seen = "processes outside"; }, {"problem daemon", "warning attribution"}},
    Row{"no_bpf_without_daemon", [](HostObservations &seen) { seen.daemon = Error{Errc::not_found, "none"}; seen.bpf = kUnseen; }, {"problem daemon", "warning attribution"}},
    Row{"bpf_is_the_daemons", [](HostObservations &seen) { seen.bpf = kUnseen; seen.exec_events = kUnseen; }, {}},
    Row{"no_execs", [](HostObservations &seen) { seen.daemon->exec_events = "none: refused"; }, {"warning exec_events"}},
    Row{"drifted", drifted, {"problem firewall"}},
    Row{"firewall_unseen", [](HostObservations &seen) { seen.firewall = kUnseen; }, {"warning firewall"}},
    Row{"family_left_out", [](HostObservations &seen) { seen.firewall->notes = {"IPv6: the host has none"}; }, {"warning firewall"}},
    Row{"foreign", [](HostObservations &seen) { seen.host_rules = Error{Errc::refused, "other rules:\n  nat: x"}; }, {"problem other_rules"}},
    Row{"foreign_ignored", [](HostObservations &seen) { seen.host_rules = Error{Errc::refused, "other"}; seen.existing = Existing::ignore; }, {"warning other_rules"}},
    Row{"foreign_unseen", [](HostObservations &seen) { seen.host_rules = kUnseen; }, {"warning other_rules"}},
    Row{"squattable", [](HostObservations &seen) { seen.unprivileged_port_start = 880; }, {"problem port"}},
    Row{"not_squattable", [](HostObservations &seen) { seen.unprivileged_port_start = 881; }, {}},
    Row{"full", [](HostObservations &seen) { seen.conntrack.emplace(95, 100); }, {"problem conntrack"}},
    Row{"no_conntrack", [](HostObservations &seen) { seen.conntrack.reset(); }, {}},
    Row{"older", old_connection, {"problem older_connections"}},
    Row{"older_in_audit", [](HostObservations &seen) { audit(seen); old_connection(seen); }, {"warning older_connections"}},
    Row{"older_unseen", [](HostObservations &seen) { seen.older = kUnseen; }, {"warning older_connections"}},
    Row{"namespace", [](HostObservations &seen) { seen.namespaces->push_back({5, 2, "nginx (pid 7, uid 0)"}); }, {"warning namespaces"}},
    Row{"capable", [](HostObservations &seen) { seen.powerful->push_back({"dumpcap (pid 7, uid 5)", "NET_RAW"}); }, {"warning capable_processes"}},
    Row{"unknown", [](HostObservations &seen) { seen.unknown->push_back({"ec2 GET /x", "", 2}); seen.unknown_forgotten = 1; },
        {"warning unknown_paths", "warning unknown_paths"}},
    Row{"unknown_unseen", [](HostObservations &seen) { seen.unknown = kUnseen; }, {"warning unknown_paths"}}),
    [](auto const &row) { return std::string(row.param.name); });

TEST(Diagnosis, OfADaemonThatIsGoneSaysWhatThatMeans) {
  auto seen = healthy();
  seen.daemon = Error{Errc::not_found, "no daemon answers"};
  EXPECT_THAT(diagnose(seen)[0].why, HasSubstr("no process of this host gets any metadata"));
  seen.firewall->families[0].fence = false;
  EXPECT_THAT(diagnose(seen)[0].why, HasSubstr("unseen"));
}

TEST(Diagnosis, CutsALongList) {
  auto seen = healthy();
  for (std::size_t i = 0; i < kListed + 8; ++i) old_connection(seen);
  auto const findings = diagnose(seen);
  EXPECT_EQ(std::ranges::count(findings, "older_connections", &HealthFinding::check), static_cast<long>(kListed) + 1);
  EXPECT_THAT(findings, Contains(::testing::Field(&HealthFinding::what, "and 8 more")));
}

}  // namespace
}  // namespace imdsgate
