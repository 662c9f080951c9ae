"""Two daemons, each guarding a network namespace of its own: equal addresses and ports in both, and each names its own clients."""

from __future__ import annotations

import subprocess
import textwrap

import pytest

from daemon import field, has
from lab import V4

PORT = 45555
CLIENT = textwrap.dedent("""\
    import http.client, socket, sys
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("", int(sys.argv[1])))
    one.settimeout(20)
    one.connect((sys.argv[2], 80))
    print(one.getsockname()[0], flush=True)
    client = http.client.HTTPConnection(sys.argv[2])
    client.sock = one
    for path in sys.stdin:
        client.request("GET", path.strip())
        answer = client.getresponse()
        answer.read()
        print(answer.status, flush=True)
    """)


def client(gateway) -> subprocess.Popen:
    """As uid 1001, connected from PORT; asks for each path that it is given."""
    command = gateway.lab.command(["/usr/bin/python3", "-c", CLIENT, str(PORT), V4], user=1001)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


@pytest.mark.parametrize("tier", ["bpf", "sock_diag"])
def test_each_daemon_names_its_own(gateway, tier):
    daemons = [gateway("audit", outside=True, attribution=tier) for _ in range(2)]
    assert daemons[0].lab.name != daemons[1].lab.name and daemons[0].settings["control"] != daemons[1].settings["control"]
    clients = [client(daemon) for daemon in daemons]
    try:
        addresses = [each.stdout.readline() for each in clients]  # both are connected from now on
        assert addresses[0] == addresses[1] != ""
        for number in range(2):
            for each, daemon in zip(clients, daemons):
                path = f"/latest/meta-data/{daemon.lab.name}/{number}"
                each.stdin.write(f"{path}\n")
                assert int(each.stdout.readline()) in (200, 404)
                event = daemon.wait_event(has(event__kind="event", url__path=path))
                assert (field(event, "process.pid"), field(event, "source.port"), field(event, "imdsgate.attribution.method")) == (
                    each.pid, PORT, tier), event
    finally:
        for each in clients:
            each.kill()
            each.communicate()
    for daemon, other in zip(daemons, reversed(daemons)):
        paths = [path for event in daemon.events() if (path := field(event, "url.path"))]
        assert paths and not [path for path in paths if other.lab.name in path]
        status = daemon.control("status")  # by its own socket
        assert status.returncode == 0 and daemon.stop() == 0
        assert other.process.poll() is None or daemon is daemons[1]
