"""`existing: translate`: whom the host's own firewall keeps away, the gateway does too; and the ECS agent's redirect."""

from __future__ import annotations

import pytest

from daemon import BINARY, Gateway, field, has, reasons

MAC = "/latest/meta-data/mac"
URL = f"http://169.254.169.254{MAC}"
URL6 = f"http://[fd00:ec2::254]{MAC}"
BODY = "0a:ff:d5:00:00:2a"
AGENT_REDIRECT = ["-d", "169.254.170.2/32", "-p", "tcp", "--dport", "80", "-j", "REDIRECT", "--to-ports", "51679"]


@pytest.fixture
def served(lab):
    lab.serve()
    return lab


def append(lab, *rule: str, family: str = "iptables") -> None:
    done = lab.run(family, "-A", *rule)
    assert done.returncode == 0, done.stderr


def keep_away(lab, *who: str) -> None:
    """From both families, as a host does that lets its users not near the service."""
    for family, address in (("iptables", "169.254.169.254"), ("ip6tables", "fd00:ec2::254")):
        append(lab, "OUTPUT", "-d", address, "-p", "tcp", "-m", "owner", *who, "-j", "REJECT", family=family)


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_whom_the_host_kept_away_stays_away(gateway, served, mode):
    keep_away(served, "--uid-owner", "1003")
    for url in (URL, URL6):
        assert served.curl(url, user=1003)[0] == 0 and served.curl(url, user=1001) == (200, BODY)
    daemon = gateway(mode, lab=served, existing="translate", rules=[])
    for url in (URL, URL6):
        since = len(daemon.events())
        assert served.curl(url + "?kept-away", user=1003)[0] == 403
        denied = daemon.wait_event(has(event__action="metadata_request", user__id="1003"), skip=since)
        assert field(denied, "imdsgate.action") == "block"
        assert any(name.startswith("existing: uid 1003") for name in reasons(denied)), denied
        assert served.curl(url, user=0) == (200, BODY)
        assert served.curl(url, user=1001) == (200, BODY)
    assert not [line for line in served.received() if "?kept-away" in line.get("target", "")]


def test_it_is_said_what_was_taken_over(gateway, served):
    keep_away(served, "!", "--uid-owner", "0")
    daemon = gateway("audit", lab=served, existing="translate", rules=[])
    text = "existing: uid all but 0, iptables-nft filter/OUTPUT, may not reach 169.254.169.254:80; -A OUTPUT -d 169.254.169.254/32"
    assert text in field(daemon.wait_event(has(event__action="started")), "imdsgate.existing")
    assert text in daemon.control("status").stdout
    status = served.run(BINARY, "intercept", "status", "--config", daemon.config)
    assert status.returncode == 0 and text in status.stdout + status.stderr, status
    assert served.curl(URL, user=0) == (200, BODY) and served.curl(URL, user=1001)[0] == 403


def test_switching_the_mode_and_reading_again_keep_it(gateway, served):
    keep_away(served, "--uid-owner", "1003")
    daemon = gateway("audit", lab=served, existing="translate", rules=[])
    for change in (("mode", "enforce"), ("mode", "audit"), ("reload",)):
        assert daemon.control(*change).returncode == 0
        assert served.curl(URL, user=1003)[0] == 403 and served.curl(URL, user=1001) == (200, BODY)
    # What the host's administrator changed is found when the configuration is read again.
    for family in ("iptables", "ip6tables"):
        assert served.run(family, "-F", "OUTPUT").returncode == 0
    keep_away(served, "--uid-owner", "1004")
    assert daemon.control("reload").returncode == 0
    assert served.curl(URL, user=1003) == (200, BODY) and served.curl(URL, user=1004)[0] == 403


@pytest.mark.parametrize("family", ["iptables", "iptables-legacy"])
def test_what_is_changed_under_way_is_taken_over(gateway, served, family):
    """Seen by the look for drift; no reload is asked for, and the mode stays."""
    daemon = gateway("audit", lab=served, existing="translate", rules=[])
    rule = ["OUTPUT", "-d", "169.254.169.254", "-m", "owner", "--uid-owner", "1003", "-j", "REJECT"]
    assert daemon.control("mode", "enforce").returncode == 0 and served.curl(URL, user=1003) == (200, BODY)
    wait = ["-w", "10"] if family == "iptables-legacy" else []  # for its lock, which the look holds at times
    assert served.run(family, *wait, "-A", *rule).returncode == 0
    changed = daemon.wait_event(has(event__action="existing_changed"), timeout=120)
    assert "existing: uid 1003" in field(changed, "imdsgate.existing") and field(changed, "imdsgate.mode") == "enforce"
    assert served.curl(URL, user=1003)[0] == 403 and served.curl(URL, user=1001) == (200, BODY)
    since = len(daemon.events())
    assert served.run(family, *wait, "-D", *rule).returncode == 0
    changed = daemon.wait_event(has(event__action="existing_changed"), timeout=120, skip=since)
    assert field(changed, "imdsgate.existing") is None and served.curl(URL, user=1003) == (200, BODY)


def test_what_cannot_be_taken_over_under_way_is_told_once(gateway, served):
    keep_away(served, "--uid-owner", "1003")
    daemon = gateway("audit", lab=served, existing="translate", rules=[])
    append(served, "OUTPUT", "-d", "169.254.169.254", "-o", "eth0", "-m", "owner", "--uid-owner", "1004", "-j", "REJECT")
    drift = daemon.wait_event(has(event__action="drift", event__kind="alert"), timeout=120)
    assert "stays as it was" in field(drift, "message") and "-o eth0" in field(drift, "message")
    assert served.curl(URL, user=1003)[0] == 403


def test_what_cannot_be_taken_over_is_refused_by_name(served):
    append(served, "OUTPUT", "-d", "169.254.169.254", "-o", "eth0", "-m", "owner", "--uid-owner", "1003", "-j", "REJECT")
    append(served, "OUTPUT", "-d", "fd00:ec2::254", "-m", "owner", "--uid-owner", "1003", "-j", "REJECT", family="ip6tables")
    done = Gateway(served, "audit", existing="translate").control("run", timeout=60)
    assert done.returncode == 1 and "-o eth0" in done.stderr and "fd00:ec2::254" not in done.stderr, done.stderr


def test_a_rule_that_keeps_the_gateway_away_is_refused_by_name(served):
    keep_away(served, "--uid-owner", "0")
    done = Gateway(served, "audit", existing="translate").control("run", timeout=60)
    assert done.returncode == 1 and "--uid-owner 0" in done.stderr, done.stderr


def test_the_ecs_agents_address_is_left_to_it(gateway, served):
    append(served, "OUTPUT", "-t", "nat", *AGENT_REDIRECT)
    daemon = gateway("enforce", lab=served, rules=[])
    started = daemon.wait_event(has(event__action="started"))
    assert field(started, "imdsgate.not_guarded") == "169.254.170.2:80"
    assert "169.254.170.2:80 is not guarded" in daemon.log() and "169.254.170.2" in daemon.control("status").stdout
    assert not [line for line in served.rules().splitlines() if "IMDSGATE" in line and "169.254.170.2/32" in line]
    for url in (URL, "http://169.254.170.23/v1/credentials"):  # the others are guarded
        since = len(daemon.events())
        served.curl(url)
        daemon.wait_event(has(event__action="metadata_request"), skip=since)
    # Nothing but the agent's own listener answers there.
    assert served.curl("--max-time", "5", "http://169.254.170.2/v2/credentials/1")[0] == 0
    assert daemon.control("reload").returncode == 0
    assert not [line for line in served.rules().splitlines() if "IMDSGATE" in line and "169.254.170.2/32" in line]


def test_the_ecs_agents_address_is_refused_by_name_when_it_was_asked_for(served):
    append(served, "OUTPUT", "-t", "nat", *AGENT_REDIRECT)
    done = Gateway(served, "audit", endpoints=[{"address": "169.254.170.2", "port": 80}]).control("run", timeout=60)
    assert done.returncode == 1 and "51679" in done.stderr, done.stderr
