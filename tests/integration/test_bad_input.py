"""Clients that send nonsense, or nothing, or too much: a status and an event each, the others unharmed."""

from __future__ import annotations

import contextlib
import time

import pytest

from daemon import field, has, reasons
from lab import rss_kib
from raw import Reader, exchange, get

MAC = "/latest/meta-data/mac"
HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(189))


@pytest.fixture(scope="module")
def audit(shared_gateway):
    return shared_gateway("audit", limits={"header_timeout": "3s", "connections_per_uid": 1000})


def unharmed(gateway) -> None:
    with gateway.lab.connect(timeout=20) as connection:
        assert exchange(connection, get(MAC)).body == b"0a:ff:d5:00:00:2a"


def refusal(gateway, data: bytes, reason: str) -> int:
    """Sends it, expects an event with that reason name, and returns the answer's status."""
    since = len(gateway.events())
    with gateway.lab.connect() as connection:
        connection.sendall(data)
        reader = Reader(connection)
        answer = reader.answer()
        assert answer is not None, "closed without an answer"
        assert reader.ended()
    event = gateway.wait_event(lambda line: reason in reasons(line), skip=since)
    assert field(event, "http.response.status_code") == answer.status
    assert field(event, "imdsgate.action") == "block"
    assert answer.header("server") == "imdsgate" and answer.header("connection") == "close"
    unharmed(gateway)
    return answer.status


@pytest.mark.parametrize("data,status,reason", [
    (b"\x00\x01\x02garbage\r\n\r\n", 400, "nul_byte"),
    (b"\x01\x02garbage\xff\r\n\r\n", 400, "malformed_request"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400, "malformed_request"),
    (HELLO, 400, "malformed_request"),
    (b"GET\r\n\r\n", 400, "malformed_request"),
    (get(MAC, version="HTTP/2.0"), 400, "malformed_request"),
    (get(MAC, "X-Long: " + "l" * 20000), 431, "limit_header_bytes"),
    (get(MAC, *(f"X-{n}: {'v' * 100}" for n in range(300))), 431, "limit_header_bytes"),
    (get("/" + "p" * 20000), 431, "limit_header_bytes"),
    (get(MAC, "Content-Length: 2000000", method="PUT"), 413, "limit_body_bytes"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1", 408, "header_timeout"),
    (b"GET /half", 408, "header_timeout"),
    (get(MAC, "Transfer-Encoding: chunked", "Content-Length: 3", method="PUT") + b"abc", 400, "transfer_encoding_with_length"),
    (get(MAC, "Transfer-Encoding: gzip", method="PUT"), 400, "unsupported_transfer_encoding"),
    (get(MAC, "Transfer-Encoding: chunked, identity", method="PUT") + b"0\r\n\r\n", 400, "unsupported_transfer_encoding"),
    (get(MAC, "Transfer-Encoding: chunked", method="PUT", version="HTTP/1.0") + b"0\r\n\r\n", 400, "chunked_http10"),
    (get(MAC, "Host: other"), 400, "duplicate_host"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "duplicate_host"),
    (get(MAC, "Content-Length: 0", "Content-Length: 0"), 400, "duplicate_content_length"),
    (get(MAC, "Content-Length: 0, 0"), 400, "content_length_list"),
    (get(MAC, "Content-Length: -1"), 400, "content_length_list"),
    (get(MAC, "Content-Length: +0"), 400, "content_length_list"),
    (get("http://169.254.169.254" + MAC), 400, "absolute_target"),
    (get("169.254.169.254:80", method="CONNECT"), 400, "authority_target"),
    (get(MAC, method="TRACE"), 400, "method_trace"),
    (get(MAC + "#fragment"), 400, "target_form"),
    (get("//169.254.169.254" + MAC), 400, "guarded_host_target"),
    (get(MAC, "X-Folded: a\r\n b"), 400, "obsolete_folding"),
    (get(MAC).replace(b"\r\n", b"\n"), 400, "bare_line_ending"),
    (get(MAC, "X: a\rb"), 400, "bare_line_ending"),
    (get(MAC, "X: a\x00b"), 400, "nul_byte"),
    (get(MAC, version="HTTP/1.0") + b"GET / HTTP/1.0\r\n\r\n", 400, "data_after_http10"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_refused(audit, data, status, reason):
    assert refusal(audit, data, reason) == status


def test_nothing_refused_reached_the_service(audit):
    targets = {line["target"] for line in audit.lab.received() if line["ev"] == "request"}
    assert targets <= {MAC}
    assert not [line for line in audit.lab.received() if line["ev"] == "malformed"]


def test_a_body_that_stops(audit):
    since = len(audit.events())
    with audit.lab.connect() as connection:
        connection.sendall(get("/fault/100", "Content-Length: 10", method="PUT") + b"abc")
        connection.shutdown(1)
        assert (answer := Reader(connection).answer()) is None or answer.status in (400, 408)
    audit.wait_event(has(event__kind="event"), skip=since)
    unharmed(audit)


def test_who_asked_is_in_a_refusal_too(audit):
    since = len(audit.events())
    audit.lab.run("bash", "-c", "exec 3<>/dev/tcp/169.254.169.254/80; printf 'nonsense\\r\\n\\r\\n' >&3; read -r line <&3", user=1004)
    event = audit.wait_event(lambda line: "malformed_request" in reasons(line), skip=since)
    assert field(event, "process.name") == "bash"
    assert field(event, "user.id") == "1004"


def test_direct_dial_of_the_listener(audit):
    for address in ("127.0.0.1", "::1", "10.66.0.2", "fd66::2"):
        since = len(audit.events())
        with contextlib.suppress(ConnectionError), audit.lab.connect(address, 880) as connection:
            connection.sendall(get(MAC))
            assert connection.recv(1000) == b"", address
        event = audit.wait_event(lambda line: "not_redirected" in reasons(line), skip=since)
        assert field(event, "http.response.status_code") is None


def test_the_interface_listener_is_for_this_host_only(audit):
    since = len(audit.events())
    with contextlib.suppress(ConnectionError), audit.lab.connect("10.66.0.2", 880, cloud=True) as connection:
        connection.sendall(get(MAC))
        assert connection.recv(1000) == b""
    audit.wait_event(lambda line: {"not_local", "not_redirected"} & reasons(line), skip=since)


def test_two_thousand_idle_connections(gateway):
    daemon = gateway("audit", limits={"connections": 1024, "connections_per_uid": 900, "header_timeout": "30s"})
    unharmed(daemon)
    before = rss_kib(daemon.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(2000):
            with contextlib.suppress(ConnectionResetError):  # the limit, when very many come at once
                stack.enter_context(daemon.lab.connect())
        # They are root's; another user's limit is his own. Those turned away hold a place until their answer has been
        # read, at most a second, which a client that tries again gets over.
        started = time.monotonic()
        assert daemon.lab.curl("--retry", "15", "--retry-all-errors", "--retry-delay", "1", f"http://169.254.169.254{MAC}")[0] == 200
        assert time.monotonic() - started < 25
        during = rss_kib(daemon.pid)
        daemon.wait_event(lambda line: {"limit_connections", "limit_connections_per_uid"} & reasons(line))
    assert during - before < 64 * 1024, f"{before} KiB before, {during} KiB with the connections"
    unharmed(daemon)
    assert rss_kib(daemon.pid) - before < 64 * 1024
