"""Connections that were there before the redirect: told of in audit, reset where the fence stands; nobody else's."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time

import pytest

from daemon import Gateway, field, has, reasons
from lab import CLIENTS, ENVIRONMENT, V4, V6, deadline

MAC = "/latest/meta-data/mac"
RESET = {"ECONNABORTED", "ECONNRESET", "EPIPE", "RemoteDisconnected"}


class Kept:
    """clients/kept_connection.py as uid 1001."""

    def __init__(self, lab, address: str):
        command = lab.command(["/usr/bin/python3", CLIENTS / "kept_connection.py", address], user=1001)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, bufsize=1)
        self.port = int(self.said().split()[1])

    def said(self) -> str:
        assert select.select([self.process.stdout], [], [], 60)[0], "the client says nothing"
        return self.process.stdout.readline().strip()

    def send(self, path: str) -> None:
        self.process.stdin.write(path + "\n")

    def ask(self, path: str = MAC) -> str:
        self.send(path)
        return self.said()


@pytest.fixture
def kept():
    with contextlib.ExitStack() as stack:
        def start(lab, address: str = V4) -> Kept:
            client = Kept(lab, address)
            stack.callback(client.process.wait)
            stack.callback(client.process.kill)
            return client
        yield start


@pytest.fixture
def served(lab):
    lab.serve()
    return lab


def tracked_ports(lab) -> set[int]:
    """The source ports of the connections to the service that the host's conntrack has."""
    listing = "".join(lab.run("conntrack", "-L", "-f", family, "-p", "tcp", "--dport", "80").stdout for family in ("ipv4", "ipv6"))
    return {int(word.removeprefix("sport=")) for line in listing.splitlines() for word in line.split() if word.startswith("sport=")}


def of(client: Kept, action: str):
    return has(event__kind="event", event__action=action, source__port=client.port)


@pytest.mark.parametrize("tracked", [False, True], ids=["untracked", "tracked"])
@pytest.mark.parametrize("address", [V4, V6, f"::ffff:{V4}"])
def test_enforce_resets_it_and_names_its_owner(gateway, served, kept, address, tracked):
    if tracked:  # somebody else's nat rule has had connection tracking on all the time
        served.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_close=600")  # none ends by itself
        for family in ("iptables", "ip6tables"):
            assert served.run(family, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "81", "-j", "REDIRECT", "--to-ports", "82").returncode == 0
    client = kept(served, address)
    assert client.ask() == "200"
    client.send("/fault/stall")  # a long poll: it sends nothing more, so the fence alone would not end it
    served.wait_received(lambda line: line["ev"] == "request" and "stall" in line["target"])
    assert (client.port in tracked_ports(served)) == tracked
    daemon = gateway("enforce", lab=served)
    event = daemon.wait_event(of(client, "connection_destroyed"))
    assert client.said() in RESET
    assert client.port not in tracked_ports(served)
    assert (field(event, "process.pid"), field(event, "user.id")) == (client.process.pid, "1001")
    assert field(event, "process.executable").startswith("/usr/bin/python3")
    assert field(event, "destination.ip") == (V6 if address == V6 else V4) and field(event, "destination.port") == 80
    assert field(event, "imdsgate.action") == "block" and reasons(event) == {"older_connection"}
    left = deadline(30)
    while "1 destroyed, 0 left" not in daemon.log():  # which is said after all of them
        assert left() > 0, daemon.log()
        time.sleep(0.05)
    assert served.curl(f"http://{V4}{MAC}")[0] == 403  # whoever comes now comes to the gateway


@pytest.mark.parametrize("address", [V4, V6])
def test_audit_tells_of_it_once_and_leaves_it_until_enforce(gateway, served, kept, address):
    client = kept(served, address)
    daemon = gateway("audit", lab=served)
    event = daemon.wait_event(of(client, "connection_found"))
    assert (field(event, "process.pid"), field(event, "imdsgate.action")) == (client.process.pid, "forward")
    assert client.ask() == "200" and client.ask() == "200"
    assert daemon.control("reload").returncode == 0 and client.ask() == "200"
    assert daemon.control("mode", "enforce").returncode == 0
    daemon.wait_event(of(client, "connection_destroyed"))
    assert client.ask() in RESET
    assert len([line for line in daemon.events() if of(client, "connection_found")(line)]) == 1


def test_a_reload_that_guards_more_looks_again(gateway, served, kept):
    client = kept(served, "169.254.170.2")
    one, other = {"address": V4, "port": 80}, {"address": "169.254.170.2", "port": 80}
    daemon = gateway("enforce", lab=served, endpoints=[one])
    assert client.ask() == "200"
    daemon.write(endpoints=[one, other])
    assert daemon.control("reload").returncode == 0
    daemon.wait_event(of(client, "connection_destroyed"))
    assert client.ask() in RESET


def test_its_own_connections_and_its_clients_are_left_alone(gateway, served, kept):
    daemon = gateway("audit", lab=served, metrics={"address": "127.0.0.1", "port": 9880}, rules=[])
    clients = [kept(served, address) for address in (V4, V6)]
    assert [client.ask() for client in clients] == ["200", "200"]
    older = kept(served, "169.254.170.23")  # through the gateway too, and not yet heard of
    assert daemon.control("mode", "enforce").returncode == 0
    assert [client.ask() for client in [*clients, older]] == ["200", "200", "200"]
    assert daemon.control("reload").returncode == 0
    assert served.curl("-o", "/dev/null", "http://127.0.0.1:9880/metrics")[0] == 200
    metrics = served.curl("http://127.0.0.1:9880/metrics")[1]
    for result in ("found", "destroyed", "kept"):
        assert f'imdsgate_older_connections_total{{result="{result}"}} 0' in metrics
    assert not [line for line in daemon.events() if field(line, "event.action").startswith("connection_")]


def test_what_the_service_has_closed_is_none(gateway, served, kept):
    """A pool of connections holds on to such for as long as nobody uses them."""
    client = kept(served)
    service = os.pidfd_open(served.service_pid)
    served.run("kill", str(served.service_pid))
    assert select.select([service], [], [], 60)[0], "the service does not end"
    os.close(service)
    served.serve()
    states = served.run("ss", "-Htn", "state", "close-wait", "dst", V4).stdout
    assert f":{client.port} " in states, states
    daemon = gateway("audit", lab=served)
    assert daemon.control("reload").returncode == 0 and daemon.control("reload").returncode == 0
    assert not [line for line in daemon.events() if field(line, "event.action").startswith("connection_")]


def test_as_the_service_user(served, kept):
    """With the unit's capabilities and no more."""
    client = kept(served)
    assert client.ask() == "200"
    daemon = Gateway(served, "enforce", attribution="sock_diag").start_as_service()
    try:
        event = daemon.wait_event(of(client, "connection_destroyed"))
        assert field(event, "process.pid") == client.process.pid and client.ask() in RESET
    finally:
        assert daemon.stop() == 0


def test_those_of_a_host_without_any_are_not_mentioned(gateway, served):
    daemon = gateway("enforce", lab=served)
    assert served.curl(f"http://{V4}{MAC}")[0] == 403
    assert "older than the redirect" not in daemon.log()
