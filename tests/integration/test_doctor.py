"""`imdsgate doctor`: what it says of a host that is well, and of each thing that would let a request past."""

from __future__ import annotations

import json
import subprocess

import pytest

from daemon import BINARY, Gateway
from lab import CLIENTS, ENVIRONMENT, V4

MAC = "/latest/meta-data/mac"
URL = f"http://{V4}{MAC}"


@pytest.fixture
def served(lab):
    lab.serve()
    return lab


def doctor(daemon: Gateway, **options) -> tuple[int, list[dict]]:
    done = daemon.control("doctor", "--json", **options)
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


def of(findings: list[dict], check: str) -> list[dict]:
    return [finding for finding in findings if finding["check"] == check]


def healths(findings: list[dict], check: str) -> set[str]:
    return {finding["health"] for finding in of(findings, check)}


OF_THE_GATEWAY = ("daemon", "kernel", "sock_destroy", "firewall", "other_rules", "port", "older_connections", "unknown_paths")


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_a_healthy_host(gateway, served, mode):
    daemon = gateway(mode, lab=served)
    rules = served.rules()
    status, findings = doctor(daemon)
    assert status == 0 and not [each for each in findings if each["health"] == "problem"], findings
    for check in OF_THE_GATEWAY:
        assert healths(findings, check) == {"ok"}, of(findings, check)
    assert mode in of(findings, "daemon")[0]["what"]
    assert served.rules() == rules  # it changes nothing
    text = daemon.control("doctor").stdout.splitlines()
    assert all(line.split()[0] in ("ok", "warning") for line in text)
    # Other tests' hosts and processes come and go between the two.
    for finding in findings:
        line = f"{finding['health']:<9}{finding['check']}: {finding['what']}"
        assert finding["check"] not in OF_THE_GATEWAY or line in text, (line, text)


def test_drifted_rules(gateway, served):
    daemon = gateway("enforce", lab=served)
    assert served.run("iptables", "-t", "nat", "-F", "IMDSGATE").returncode == 0
    status, findings = doctor(daemon)
    assert status == 1
    drifted = [each for each in of(findings, "firewall") if each["health"] == "problem"]
    assert len(drifted) == 1 and "IPv4" in drifted[0]["what"] and "missing" in drifted[0]["what"], findings


def test_a_foreign_redirect(gateway, served):
    daemon = gateway("audit", lab=served)
    redirect = ["-d", V4, "-p", "tcp", "--dport", "80", "-j", "REDIRECT", "--to-ports", "9999"]
    assert served.run("iptables", "-t", "nat", "-A", "OUTPUT", *redirect).returncode == 0
    status, findings = doctor(daemon)
    assert status == 1
    [found] = of(findings, "other_rules")
    assert found["health"] == "problem" and "9999" in found["what"], found
    daemon.write(existing="ignore")
    assert healths(doctor(daemon)[1], "other_rules") == {"warning"}


def test_an_older_connection_and_its_owner(gateway, served):
    command = served.command(["/usr/bin/python3", CLIENTS / "kept_connection.py", V4], user=1001)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as client:
        port = client.stdout.readline().split()[1]
        daemon = gateway("audit", lab=served)
        assert served.curl(URL)[0] == 200  # it keeps a connection upstream, which is none of these
        status, findings = doctor(daemon)
        [found] = of(findings, "older_connections")
        assert f":{port} " in found["what"] and f"(pid {client.pid}, uid 1001)" in found["what"], found
        assert (status, found["health"]) == (0, "warning")
        client.kill()


def test_unknown_paths_from_the_daemon_and_from_the_files(gateway, served):
    daemon = gateway("audit", lab=served)
    for _ in range(2):
        served.curl(f"http://{V4}/latest/meta-data/never-heard-of?token=5ecret")
    served.curl(URL)
    for answers in ("the daemon", "the files"):
        status, findings = doctor(daemon)
        [found] = of(findings, "unknown_paths")
        assert "GET /latest/meta-data/never-heard-of, 2 times, last by curl (pid " in found["what"], (answers, found)
        assert "uid 1001" in found["what"] and "5ecret" not in json.dumps(findings)
        assert status == (0 if answers == "the daemon" else 1)
        if answers == "the daemon":
            assert daemon.stop() == 0


def test_without_a_daemon(served):
    daemon = Gateway(served, "enforce")
    status, findings = doctor(daemon)
    assert status == 1 and healths(findings, "daemon") == {"problem"} and healths(findings, "firewall") == {"problem"}
    assert healths(findings, "capabilities") == {"ok"} and healths(findings, "kernel") == {"ok"}
    assert "bpf" in of(findings, "attribution")[0]["what"]
    assert "IMDSGATE" not in served.rules()


def test_without_root(gateway, served):
    daemon = gateway("audit", lab=served)
    daemon.config.chmod(0o644)
    status, findings = doctor(daemon, user=1001)
    assert healths(findings, "privilege") == {"warning"}
    assert not [each for each in findings if each["health"] == "problem"], findings
    assert status == 0


def test_a_broken_configuration_is_exit_2(served):
    daemon = Gateway(served, "audit", colour="blue")
    done = daemon.control("doctor")
    assert done.returncode == 2 and "colour" in done.stderr


def test_who_has_capabilities_without_being_root(gateway, served):
    daemon = gateway("audit", lab=served)
    by = ["setpriv", "--reuid", "1001", "--clear-groups", "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw", "--", "cat"]
    with subprocess.Popen(served.command(by), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as client:
        client.stdin.write("x\n")
        client.stdin.flush()
        assert client.stdout.readline() == "x\n"  # it is what it became
        found = [each for each in of(doctor(daemon)[1], "capable_processes") if f"pid {client.pid}," in each["what"]]
        assert len(found) == 1 and "NET_RAW" in found[0]["what"] and "cat" in found[0]["what"], found
        client.kill()
