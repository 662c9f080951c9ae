"""Start, reload, mode, stop, crash: what the firewall is left as, and what is said about it."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess

import pytest

from daemon import BINARY, Gateway, field, has, reasons
from lab import CLIENTS, ENVIRONMENT
from raw import Reader, exchange, get

MAC = "/latest/meta-data/mac"
URL = f"http://169.254.169.254{MAC}"
URL6 = f"http://[fd00:ec2::254]{MAC}"


@pytest.fixture
def served(lab):
    lab.serve()
    return lab


def test_audit_stop_leaves_the_tables_as_they_were(gateway, served):
    for family in ("iptables", "ip6tables"):  # other people's rules, before and after ours
        assert served.run(family, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "81", "-j", "REDIRECT", "--to-ports", "82").returncode == 0
        assert served.run(family, "-A", "OUTPUT", "-p", "udp", "--dport", "9999", "-j", "DROP").returncode == 0
    before = served.rules()
    daemon = gateway("audit", lab=served)
    assert served.rules() != before
    assert served.curl(URL)[0] == 200
    assert daemon.stop() == 0
    assert without_empty_tables(served.rules()) == without_empty_tables(before)
    assert served.curl(URL)[0] == 200 and served.curl(URL6)[0] == 200
    assert [field(line, "event.action") for line in daemon.events()][-1] == "stopped"


def without_empty_tables(text: str) -> list[str]:
    """iptables-save lists a table from its first use on; one with nothing in it is no difference."""
    tables, lines = [], []
    for line in text.splitlines():
        lines.append(line.split(" [")[0])
        if line == "COMMIT":
            if any(entry.startswith("-") or (entry.startswith(":") and entry.endswith(" -")) for entry in lines):
                tables += lines
            lines = []
    return tables


def test_enforce_stop_keeps_the_fence(gateway, served):
    daemon = gateway("enforce", lab=served)
    assert daemon.stop() == 0
    for url in (URL, URL6):
        done = served.run("curl", "-sS", "-g", "--max-time", "15", url, user=1001)
        assert done.returncode == 7, done.stderr  # refused at once: not a time-out
    assert gateway("enforce", lab=served, name="again").process.poll() is None
    assert served.curl(URL)[0] == 403


@pytest.mark.parametrize("mode,on_stop,status", [("audit", "keep", 0), ("enforce", "remove", 200)])
def test_on_stop_is_obeyed(gateway, served, mode, on_stop, status):
    assert gateway(mode, lab=served, on_stop=on_stop).stop() == 0
    assert served.curl("--max-time", "15", URL)[0] == status


def test_a_request_in_flight_is_served_to_its_end(gateway, served):
    daemon = gateway("audit", lab=served)
    with served.connect() as connection:
        connection.sendall(get("/fault/slow?bytes=20"))
        served.wait_received(lambda line: line["ev"] == "request")
        daemon.process.send_signal(signal.SIGTERM)
        answer = Reader(connection).answer()
    assert answer.complete and answer.body == b"x" * 20
    assert daemon.process.wait(60) == 0


def test_a_stalled_request_does_not_hold_the_stop(gateway, served):
    daemon = gateway("audit", lab=served)
    with served.connect() as connection:
        connection.sendall(get("/fault/stall"))
        served.wait_received(lambda line: line["ev"] == "request")
        assert daemon.stop(timeout=30) == 0  # the stall does not end by itself


def test_reload_with_a_bad_file_keeps_the_old_policy(gateway, served):
    daemon = gateway("audit", lab=served)
    good = daemon.config.read_text()
    daemon.config.write_text('mode: enforced\nlisten: {prot: 880}\nallow: 3\n')
    since = len(daemon.events())
    daemon.process.send_signal(signal.SIGHUP)
    event = daemon.wait_event(has(event__action="reload_failed"), skip=since)
    assert "gateway.yaml:1:" in event["message"]
    daemon.config.write_text(good)
    assert served.curl(URL)[0] == 200
    daemon.write(mode="enforce")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_event(has(event__action="reloaded"), skip=since)
    assert served.curl(URL)[0] == 403


def test_a_bad_file_at_start_lists_every_problem(served):
    daemon = Gateway(served, "audit")
    daemon.config.write_text('mode: enforced\nprovider: ec2\nlisten: {prot: 880}\nlimits: {connections: many}\nnonsense: 1\n')
    before = served.rules()
    done = daemon.control("run", timeout=60)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if f"{daemon.config}:" in line]
    assert {int(line.split(f"{daemon.config}:")[1].split(":")[0]) for line in lines} == {1, 3, 4, 5}, done.stderr
    assert served.rules() == before


def test_a_second_instance_touches_nothing(gateway, served):
    daemon = gateway("audit", lab=served)
    rules = served.rules()
    same = daemon.control("run", timeout=60)
    assert same.returncode == 1 and f"pid {daemon.pid}" in same.stderr, same.stderr
    other = Gateway(served, "enforce", name="other")
    done = other.control("run", timeout=60)
    assert done.returncode == 1 and "880" in done.stderr, done.stderr
    assert served.rules() == rules
    assert served.curl(URL)[0] == 200


def test_mode_changes_the_verdict_at_once_and_says_who_asked(gateway, served):
    daemon = gateway("audit", lab=served)
    assert served.curl(URL)[0] == 200
    process = subprocess.Popen(served.command([BINARY, "mode", "enforce", "--config", daemon.config]), env=ENVIRONMENT, stdin=subprocess.DEVNULL)
    assert process.wait(60) == 0
    assert served.curl(URL)[0] == 403
    event = daemon.wait_event(has(event__action="mode_changed"))
    assert (field(event, "imdsgate.mode"), field(event, "user.id"), field(event, "process.pid")) == ("enforce", "0", process.pid)
    assert "mode: enforce" in daemon.control("status").stdout
    assert daemon.control("mode").stdout.strip().endswith("enforce")
    assert daemon.control("reload").returncode == 0  # back to what the file says
    assert served.curl(URL)[0] == 200
    assert daemon.control("mode", "off").returncode == 2


def test_only_root_changes_the_mode(gateway, served):
    daemon = gateway("audit", lab=served)
    daemon.config.chmod(0o644)
    assert daemon.control("mode", "enforce", user=1001).returncode == 1
    assert daemon.control("status", user=1001).returncode == 1
    assert daemon.control("mode").stdout.strip().endswith("audit")


@pytest.mark.parametrize("mode,status", [("audit", 200), ("enforce", 0)])
def test_after_a_crash_on_stop_can_be_applied(gateway, served, mode, status):
    daemon = gateway(mode, lab=served)
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    done = served.run(BINARY, "intercept", "remove", "--on-stop", "--config", daemon.config)
    assert done.returncode == 0, done.stderr
    assert served.curl("--max-time", "15", URL)[0] == status
    assert gateway(mode, lab=served, name="again").process.poll() is None


def test_existing_rules_are_refused_by_name(served):
    rule = ["OUTPUT", "-d", "169.254.169.254", "-m", "owner", "--uid-owner", "1003", "-j", "REJECT"]
    assert served.run("iptables", "-A", *rule).returncode == 0
    before = served.rules()
    daemon = Gateway(served, "audit")
    done = daemon.control("run", timeout=60)
    assert done.returncode == 1
    assert "filter" in done.stderr and "--uid-owner 1003" in done.stderr, done.stderr
    assert without_empty_tables(served.rules()) == without_empty_tables(before)


def test_intercept_is_idempotent(served):
    config = Gateway(served, "audit").config
    before = without_empty_tables(served.rules())
    for _ in range(2):
        assert served.run(BINARY, "intercept", "install", "--config", config).returncode == 0
    once = served.rules()
    assert served.run(BINARY, "intercept", "status", "--config", config).returncode == 0
    assert served.run(BINARY, "intercept", "install", "--config", config).returncode == 0
    assert served.rules() == once
    for _ in range(2):
        assert served.run(BINARY, "intercept", "remove", "--config", config).returncode == 0
    assert without_empty_tables(served.rules()) == before


def test_self_loop_in_audit_takes_the_redirect_out(gateway, served):
    """A CONNMARK --restore-mark rule wipes the daemon's mark: its own connection comes back (facts §1)."""
    assert served.run("iptables", "-t", "mangle", "-A", "OUTPUT", "-j", "CONNMARK", "--restore-mark").returncode == 0
    daemon = gateway("audit", lab=served, existing="ignore")
    served.curl("--max-time", "5", URL)
    event = daemon.wait_event(has(event__action="self_loop"))
    assert field(event, "event.kind") == "alert"
    assert served.curl(URL) == (200, "0a:ff:d5:00:00:2a")
    assert daemon.process.poll() is None
    assert len(os.listdir(f"/proc/{daemon.pid}/fd")) < 100
    # The rule is gone and the configuration is read again: guarded as before.
    assert served.run("iptables", "-t", "mangle", "-F", "OUTPUT").returncode == 0
    assert daemon.control("reload").returncode == 0
    since = len(daemon.events())
    assert served.curl(URL)[0] == 200
    daemon.wait_event(has(event__action="metadata_request"), skip=since)


def as_service_user(served, *capabilities: str, **configuration) -> Gateway:
    listen = {"unix": str(served.directory / "service" / "imds.sock")}
    return Gateway(served, "enforce", listen=listen, **configuration).start_as_service(*capabilities)


def names_curl(served, daemon: Gateway) -> str:
    """By which method it does."""
    status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
    net_admin, net_bind_service, net_raw = 12, 10, 13
    assert f"CapEff:\t{1 << net_admin | 1 << net_bind_service | 1 << net_raw:016x}" in status
    assert served.curl(URL)[0] == 403
    event = daemon.wait_event(has(event__action="metadata_request", process__name="curl"))
    assert field(event, "process.executable") == "/usr/bin/curl" and field(event, "imdsgate.proven.executable") is True
    return field(event, "imdsgate.attribution.method")


def test_as_the_service_user(served):
    """With the unit's capabilities and no more; what the prober alone needs, or BPF at the start, does not stay with the
    gateway."""
    daemon = as_service_user(served, "bpf", "perfmon")
    try:
        started = daemon.wait_event(has(event__action="started"))
        assert names_curl(served, daemon) == field(started, "imdsgate.attribution_tier")
    finally:
        assert daemon.stop() == 0


def test_without_the_capabilities_for_bpf(served):
    """The prober's way of naming remains, and the event says why it is that one."""
    daemon = as_service_user(served, attribution="auto")
    try:
        assert names_curl(served, daemon) == "sock_diag"
        started = daemon.wait_event(has(event__action="started"))
        assert field(started, "imdsgate.attribution_tier") == "sock_diag"
        assert "CAP_BPF" in field(started, "imdsgate.attribution_not_bpf")
    finally:
        assert daemon.stop() == 0


def test_bpf_alone_is_refused_where_it_does_not_load(served):
    daemon = Gateway(served, "audit", attribution="bpf")
    daemon.start(ready=False, by=("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-bpf,-perfmon,-sys_admin", "--"))
    assert daemon.process.wait(60) == 1
    assert "attribution: bpf: " in daemon.log() and "CAP_BPF" in daemon.log()


def test_inherited_listeners(served):
    """Blocking ones, as a socket unit hands them over: they are used, and do not stop the loop."""
    daemon = Gateway(served, "audit")
    daemon.start(by=("/usr/bin/python3", CLIENTS / "inherit.py"))
    try:
        assert served.curl(URL) == (200, "0a:ff:d5:00:00:2a") and served.curl(URL6)[0] == 200
        daemon.wait_event(has(event__action="metadata_request", process__name="curl"))
    finally:
        assert daemon.stop() == 0


def test_a_listener_that_is_not_its_own_alone_is_refused(served):
    """Half of the redirected connections would go to the other socket."""
    before = served.rules()
    daemon = Gateway(served, "audit")
    daemon.start(ready=False, by=("/usr/bin/python3", CLIENTS / "inherit.py", "--shared"))
    assert daemon.process.wait(60) == 1
    assert "listens on 127.0.0.1:880 too" in daemon.log()
    assert served.rules() == before


def test_unix_listener(gateway, served):
    path = served.directory / "imds.sock"
    daemon = gateway("audit", lab=served, listen={"unix": str(path)})
    assert served.curl("--unix-socket", str(path), f"http://localhost{MAC}") == (200, "0a:ff:d5:00:00:2a")
    event = daemon.wait_event(has(event__kind="event", event__action="metadata_request"))
    assert field(event, "process.name") == "curl" and field(event, "user.id") == "1001"
    assert field(event, "imdsgate.attribution.method") == "peercred"
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    assert exchange(connection, get(MAC)).status == 200
    connection.close()


def test_no_capability_says_which_and_for_what(served):
    daemon = Gateway(served, "audit")
    done = served.run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--", BINARY, "run", "--config", daemon.config, timeout=60)
    assert done.returncode == 1
    assert "CAP_NET_ADMIN" in done.stderr and "firewall" in done.stderr
