"""A service that misbehaves: each fault is a status and an event with its reason's name, and hurts nobody else."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time

import pytest

from daemon import field, has, reasons
from lab import rss_kib
from raw import Answer, Reader, exchange, get

MAC = "/latest/meta-data/mac"


@pytest.fixture(scope="module")
def impatient(shared_gateway):
    return shared_gateway("audit", upstream={"idle_timeout": "3s", "connect_timeout": "3s"})


def ask(gateway, path: str, *headers: str) -> Answer | None:
    with gateway.lab.connect() as connection:
        connection.sendall(get(path, *headers))
        with contextlib.suppress(ConnectionResetError):
            return Reader(connection).answer()
    return None


@pytest.mark.parametrize("path,status,reason", [
    ("/fault/stall", 504, "upstream_timeout"),
    ("/fault/garbage", 502, "upstream_garbage"),
    ("/fault/close", 502, "upstream_reset"),
])
def test_no_answer(impatient, path, status, reason):
    since = len(impatient.events())
    started = time.monotonic()
    answer = ask(impatient, path)
    assert answer is not None and answer.status == status
    assert answer.header("server") == "imdsgate"
    assert time.monotonic() - started < 15
    event = impatient.wait_event(has(event__kind="event", url__path=path), skip=since)
    assert reason in reasons(event)
    assert field(event, "http.response.status_code") == status
    assert ask(impatient, MAC).status == 200


@pytest.mark.parametrize("path", ["/fault/reset", "/fault/short"])
def test_half_an_answer_never_looks_whole(impatient, path):
    since = len(impatient.events())
    answer = ask(impatient, path)
    assert answer is None or not answer.complete
    event = impatient.wait_event(has(event__kind="event", url__path=path), skip=since)
    assert "upstream_reset" in reasons(event)
    assert ask(impatient, MAC).status == 200


def test_an_endless_header_ends(impatient):
    since = len(impatient.events())
    answer = ask(impatient, "/fault/long-header")
    assert answer is None or answer.status == 502
    event = impatient.wait_event(has(event__kind="event", url__path="/fault/long-header"), skip=since)
    assert {"upstream_garbage", "upstream_reset"} & reasons(event)
    assert ask(impatient, MAC).status == 200


def test_a_drip_is_slower_than_the_timeout_and_arrives(impatient):
    """idle_timeout is about silence, not about the whole answer."""
    started = time.monotonic()
    answer = ask(impatient, "/fault/slow?bytes=50")
    assert answer.complete and answer.body == b"x" * 50
    assert time.monotonic() - started > 4


def test_a_big_answer_to_a_slow_reader_takes_no_memory(impatient):
    before = rss_kib(impatient.pid)
    with impatient.lab.connect() as connection:
        connection.sendall(get("/fault/big?bytes=100000000"))
        assert connection.recv(1000)
        assert ask(impatient, MAC).status == 200
        assert rss_kib(impatient.pid) - before < 32 * 1024


def test_service_away_and_back(gateway):
    daemon = gateway("audit")
    assert ask(daemon, MAC).status == 200
    os.kill(daemon.lab.service_pid, signal.SIGTERM)
    daemon.lab.run("true", cloud=True)
    with pytest.raises(ConnectionRefusedError):  # it has gone
        while True:
            daemon.lab.connect(cloud=True).close()
    answer = ask(daemon, MAC)
    assert answer.status == 502
    assert "upstream_refused" in reasons(daemon.wait_event(has(url__path=MAC, http__response__status_code=502)))
    daemon.lab.serve()
    assert ask(daemon, MAC).status == 200


def test_service_out_of_reach(gateway):
    daemon = gateway("audit", upstream={"connect_timeout": "300ms"})
    lab = daemon.lab
    assert lab.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "80", "-j", "DROP", cloud=True).returncode == 0
    since = len(daemon.events())
    started = time.monotonic()
    assert ask(daemon, MAC).status == 504
    assert time.monotonic() - started < 15
    assert "upstream_connect_timeout" in reasons(daemon.wait_event(has(url__path=MAC), skip=since))


def test_a_stale_pooled_connection_costs_nobody_an_answer(impatient):
    """The service ends idle connections when it likes; the next client must not see it."""
    for _ in range(20):
        assert ask(impatient, MAC).status == 200
        assert ask(impatient, MAC, "Connection: close").status == 200


def test_long_poll_outlives_the_idle_timeout(gateway):
    daemon = gateway("audit", service="--provider gce", provider="gce", upstream={"idle_timeout": "3s"})
    path = "/computeMetadata/v1/instance/virtual-clock/drift-token?wait_for_change=true&timeout_sec=8"
    started = time.monotonic()
    answer = ask(daemon, path, "Metadata-Flavor: Google")
    assert answer.status == 200 and answer.header("metadata-flavor") == "Google"
    assert 7.5 < time.monotonic() - started < 40


def test_a_change_ends_the_poll(gateway):
    daemon = gateway("audit", service="--provider gce", provider="gce")
    with daemon.lab.connect() as connection:
        connection.sendall(get("/computeMetadata/v1/instance/virtual-clock/drift-token?wait_for_change=true", "Metadata-Flavor: Google"))
        daemon.lab.wait_received(lambda line: line["ev"] == "request")
        os.kill(daemon.lab.service_pid, signal.SIGHUP)
        assert Reader(connection).answer().body == b"1"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_gone_upstream_gone(gateway, how):
    daemon = gateway("audit", service="--provider gce", provider="gce")
    connection = daemon.lab.connect()
    connection.sendall(get("/computeMetadata/v1/instance/name?wait_for_change=true", "Metadata-Flavor: Google"))
    line = daemon.lab.wait_received(lambda line: line["ev"] == "request")
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()
    daemon.lab.wait_received(lambda other: other["ev"] in ("eof", "close") and other["conn"] == line["conn"])
    assert "client_gone" in reasons(daemon.wait_event(has(event__kind="event", event__action="metadata_request")))


def test_half_close_gets_its_answer(impatient):
    with impatient.lab.connect() as connection:
        connection.sendall(get("/fault/slow?bytes=5"))
        connection.shutdown(socket.SHUT_WR)
        answer = Reader(connection).answer()
    assert answer.complete and answer.body == b"xxxxx"


def test_sixty_four_at_once(impatient):
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(impatient.lab.connect()) for _ in range(64)]
        for number, connection in enumerate(connections):
            connection.sendall(get(f"{MAC}?n={number}"))
        assert {exchange(connection, b"").body for connection in connections} == {b"0a:ff:d5:00:00:2a"}
