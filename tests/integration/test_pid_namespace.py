"""The daemon in a pid namespace of its own, as in a privileged container: who it can be sure of is named, nobody else."""

from __future__ import annotations

import json
import os
import pathlib
import signal

import pytest

from daemon import Gateway, field, has, reasons
from lab import V4

OWN = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def served(lab):
    lab.serve()
    return lab


def inside(daemon: Gateway) -> int:
    """The daemon's own number: what was started is unshare, which waits for it."""
    [pid] = pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    return int(pid)


def asked(daemon: Gateway, path: str, script: str) -> dict:
    """The event of the request that a script sends out of the daemon's pid namespace."""
    daemon.lab.run("nsenter", "-t", str(inside(daemon)), "--pid", "--mount", "bash", "-c", script)
    return daemon.wait_event(has(url__path=path, event__kind="event"))


def curl(path: str) -> str:
    return f"exec curl -s http://{V4}{path}"


def alone(cgroup: str) -> str:
    """Without nsenter, which waits outside."""
    return f"mkdir -p {cgroup} && echo 0 >{cgroup}/cgroup.procs && "


@pytest.mark.parametrize("attribution", ["auto", "sock_diag"])
def test_only_who_is_seen_with_all_beside_him_is_named(served, attribution):
    daemon = Gateway(served, "audit", attribution=attribution).start(by=OWN)
    try:
        started = daemon.wait_event(has(event__action="started"))
        assert field(started, "imdsgate.attribution_tier") == "sock_diag"
        assert "outside this pid namespace" in field(started, "imdsgate.attribution_not_seen")
        findings = json.loads(daemon.control("doctor", "--json").stdout)["findings"]
        assert [each for each in findings if each["check"] == "attribution" and "outside this pid namespace" in each["what"]], findings

        root = served.run("findmnt", "-nft", "cgroup2", "-o", "TARGET").stdout.strip()
        group = f"{root}/imdsgate-lab-{served.name}"
        alone_path, moved_path, beside_path = (f"/latest/meta-data/{name}" for name in ("alone", "moved", "beside"))
        named = asked(daemon, alone_path, alone(f"{group}/alone") + curl(alone_path))
        assert field(named, "process.name") == "curl" and field(named, "process.pid"), named
        assert reason(asked(daemon, beside_path, curl(beside_path))) == "other_namespace"
        moved = f"exec 9<>/dev/tcp/{V4}/80; {alone(group + '/moved')}printf 'GET {moved_path} HTTP/1.1\\r\\nHost: {V4}\\r\\n\\r\\n' >&9; read -r <&9"
        assert reason(asked(daemon, moved_path, alone(f"{group}/before") + moved)) == "other_namespace"
        assert served.curl(f"http://{V4}/latest/meta-data/outside")[0]
        outside = daemon.wait_event(has(url__path="/latest/meta-data/outside", event__kind="event"))
        assert reason(outside) == "other_namespace"
    finally:
        os.kill(inside(daemon), signal.SIGTERM)
        assert daemon.process.wait(10) == 0


def reason(event: dict) -> str:
    assert field(event, "process.pid") is None and "unattributed" in reasons(event), event
    return field(event, "imdsgate.attribution.reason")


def test_bpf_alone_is_refused(served):
    daemon = Gateway(served, "audit", attribution="bpf").start(ready=False, by=OWN)
    assert daemon.process.wait(20) == 1
    assert "attribution: bpf: " in daemon.log() and "pid namespace" in daemon.log()


def test_with_the_processes_of_another_it_does_not_start(served):
    daemon = Gateway(served, "audit").start(ready=False, by=("unshare", "--pid", "--fork", "--kill-child"))
    assert daemon.process.wait(20) == 1
    assert "/proc is another pid namespace's" in daemon.log()
