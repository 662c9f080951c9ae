"""The daemon under a /proc that shows nobody else's processes (hidepid): who asks is named, or nobody is; nobody else ever."""

from __future__ import annotations

import pytest

from daemon import SERVICE_USER, Gateway, field, has, reasons
from lab import V4

# In a mount namespace of its own, so that no other process's /proc changes.
HIDEPID = ("unshare", "--mount", "--propagation", "private", "bash", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "bash")
ASK = f'echo $$; exec curl -s -o /dev/null "http://{V4}$0"'


@pytest.fixture(params=["bpf", "sock_diag"])
def daemon(lab, request):
    lab.serve()
    more = ("bpf", "perfmon") if request.param == "bpf" else ()
    daemon = Gateway(lab, "audit", attribution=request.param).start_as_service(*more, within=HIDEPID)
    yield daemon
    assert daemon.stop() == 0


def seen_by(daemon: Gateway, user: int) -> list[str]:
    """What /proc has for that user where the daemon is."""
    become = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    return daemon.lab.run("nsenter", "-t", str(daemon.pid), "--mount", *become, "ls", "/proc").stdout.split()


def asked(daemon: Gateway, path: str, user: int) -> dict:
    done = daemon.lab.run("bash", "-c", ASK, path, user=user)
    event = daemon.wait_event(has(event__kind="event", url__path=path))
    if field(event, "process.pid") is None:
        assert "unattributed" in reasons(event) and field(event, "user.id") is None, event
    else:
        assert (field(event, "process.pid"), field(event, "process.name"), field(event, "user.id")) == (int(done.stdout), "curl", str(user)), event
    return event


def test_who_asks_is_named(daemon):
    seen = seen_by(daemon, SERVICE_USER)
    assert "self" in seen and "1" not in seen
    for user in (1001, 0, SERVICE_USER):
        event = asked(daemon, f"/latest/meta-data/of-{user}", user)
        assert field(event, "process.args")[:1] == ["curl"], event
