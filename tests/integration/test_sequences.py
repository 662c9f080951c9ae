"""The published rule as a sequence on live traffic: an exec and a connection joined by their parent within a second."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import time

import pytest

from daemon import field, has, reasons
from lab import ENVIRONMENT

ID = "/latest/meta-data/instance-id"
URL = f"http://169.254.169.254{ID}"
RULE = "unusual-imds-request"
CURL = "sleep 0.2 | curl -s -K - 2>/dev/null"  # asks for nothing, and lives long enough to be read


SOURCES = {"auto": "bpf", "sock_diag": "proc_connector"}  # of exec events, by the attribution that chooses them


@pytest.fixture(scope="module", params=SOURCES)
def audit(shared_gateway, request):
    return shared_gateway("audit", outside=True, attribution=request.param)


@pytest.fixture(scope="module")
def tool(audit, agent_binary):
    """A client that no criterion names, in a place that none names."""
    return copy(agent_binary, audit.lab.programs / "report")


def copy(binary: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    shutil.copy(binary, target)
    target.chmod(0o755)
    return target


def events_of(gateway, *command, count: int = 1, **options) -> list[dict]:
    """Runs it; the request events that came of it, in order."""
    return run(gateway, *command, count=count, **options)[0]


def run(gateway, *command, count: int, **options) -> tuple[list[dict], subprocess.CompletedProcess]:
    since = len(gateway.events())
    alone = ("bash", "-c", '"$@"; true', "sh")  # a parent that no other test's client has
    done = gateway.lab.run(*(() if command[0] == "bash" else alone), *command, **{"user": 1001, **options})
    found: list[dict] = []
    for number in range(count):
        found.append(gateway.wait_event(has(event__kind="event", event__action="metadata_request"),
                                        skip=since if not found else gateway.events().index(found[-1]) + 1))
    assert found, done.stderr
    return found, done


IN_TIME = 0.9  # s: the rule's maxspan, and what a clock is read later than the kernel tells of what was before


def events_in_time(gateway, script: str, count: int = 1) -> list[dict]:
    """Those of a shell that was through within the rule's maxspan: what is tested is no machine that stands still."""
    for _ in range(5):
        script_ = f"echo $EPOCHREALTIME >&2; {script}; echo $EPOCHREALTIME >&2"
        found, done = run(gateway, "bash", "-c", script_, count=count)
        began, ended = map(float, done.stderr.split())
        if ended - began < IN_TIME:
            break
    return found


def named(event: dict) -> bool:
    return RULE in reasons(event)


def assert_silent(gateway, event: dict) -> None:
    assert not named(event), json.dumps(field(alert_for(gateway, event), "imdsgate.sequence"))


def alert_for(gateway, event: dict) -> dict:
    return gateway.wait_event(has(event__kind="alert", imdsgate__request_event_id=field(event, "event.id")))


def test_the_daemon_hears_of_execs(audit):
    started = audit.wait_event(has(event__action="started"))
    assert field(started, "imdsgate.exec_events") == SOURCES[audit.settings["attribution"]]


def test_curl_alone(audit):
    event, = events_of(audit, "curl", "-s", URL)
    alert = alert_for(audit, event)
    assert field(alert, "rule.id") == RULE
    assert field(alert, "imdsgate.rule_match") == "self"
    exec_, connection = field(alert, "imdsgate.sequence")
    assert (exec_["event"]["category"], exec_["event"]["action"]) == ("process", "exec")
    assert (connection["event"]["category"], connection["event"]["action"]) == ("network", "connection_attempted")
    entity = field(event, "process.entity_id")
    assert entity and exec_["process"]["entity_id"] == connection["process"]["entity_id"] == entity
    assert exec_["process"]["parent"]["entity_id"] == field(event, "process.parent.entity_id")


def test_curl_two_seconds_after_it_started(audit):
    """A SIEM's rule, which has logs alone, would miss this one."""
    since = len(audit.events())
    command = audit.lab.command(["curl", "-s", "-K", "-"], user=1001)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=ENVIRONMENT, cwd="/") as curl:
        started = time.monotonic()
        while (left := started + 2 - time.monotonic()) > 0:  # the age is what is tested
            time.sleep(left)
        curl.stdin.write(f'url = "{URL}"\n'.encode())
        curl.stdin.close()
        assert curl.wait(60) == 0
    event = audit.wait_event(has(event__action="metadata_request", process__name="curl"), skip=since)
    assert named(event) and field(event, "imdsgate.rule_match") == "self"


def test_a_sibling_within_maxspan(audit, tool):
    event, = events_in_time(audit, f"{CURL}; {tool} v4 {ID} --v1")
    assert field(event, "process.executable") == str(tool)
    assert named(event) and field(event, "imdsgate.rule_match") == "sibling"
    assert field(event, "imdsgate.verdict") == "alert", "the sibling is suspicious, not the requester"
    exec_, connection = field(alert_for(audit, event), "imdsgate.sequence")
    assert exec_["process"]["name"] == "curl"
    assert connection["process"]["executable"] == str(tool)


def test_a_sibling_whose_parent_has_gone(audit, tool):
    """Both are adopted by another before the connection: who forked them still joins them."""
    script = f"echo $EPOCHREALTIME; ({CURL}; {tool} v4 {ID} --v1 --wait >/dev/null 2>&1 <$0 &); true"
    with fifo(audit.lab.directory / "go") as go:
        for _ in range(5):
            since = len(audit.events())
            began = float(audit.lab.run("bash", "-c", script, go, user=1001).stdout)
            go.write_bytes(b"\n")
            event = audit.wait_event(has(event__action="metadata_request", process__executable=str(tool)), skip=since)
            if time.time() - began < IN_TIME:
                break
    assert named(event) and field(event, "imdsgate.rule_match") == "sibling"


@contextlib.contextmanager
def fifo(path: pathlib.Path):
    os.mkfifo(path)
    path.chmod(0o666)
    try:
        yield path
    finally:
        path.unlink()


def test_a_sibling_beyond_maxspan(audit, tool):
    event, = events_of(audit, "bash", "-c", f"{CURL}; sleep 1.2; {tool} v4 {ID} --v1; true")
    assert_silent(audit, event)


def test_a_completed_sequence_is_consumed(audit, tool):
    events = events_in_time(audit, f"{CURL}; {tool} v4 {ID} --v1; {tool} v4 {ID} --v1", count=2)
    assert [named(event) for event in events] == [True, False]


def test_another_shells_child_is_no_sibling(audit, tool):
    event, = events_of(audit, "bash", "-c", f"bash -c 'curl --version; true' >/dev/null; {tool} v4 {ID} --v1; true")
    assert_silent(audit, event)


def test_a_harmless_client(audit, tool):
    event, = events_of(audit, tool, "v4", ID, "--v1")
    assert_silent(audit, event)


def test_an_excluded_parent(audit):
    directory = pathlib.Path("/usr/share/ec2-instance-connect")
    if directory.exists():
        pytest.skip("EC2 Instance Connect is installed here")
    directory.mkdir()
    try:
        shell = copy(pathlib.Path("/bin/bash"), directory / "hook")
        event, = events_of(audit, shell, "-c", f"curl -s {URL}; true")
        assert field(event, "process.parent.executable") == str(shell)
        assert_silent(audit, event)
    finally:
        shutil.rmtree(directory)


def test_an_excluded_working_directory(audit):
    directory = pathlib.Path("/opt/rapid7-imdsgate-test")
    directory.mkdir(exist_ok=True)
    try:
        event, = events_of(audit, "curl", "-s", URL, cwd=directory)
        assert field(event, "process.working_directory") == str(directory)
        assert_silent(audit, event)
    finally:
        directory.rmdir()


def claimed(event: dict, what: str) -> list[str]:
    return field(event, f"imdsgate.claimed.process.{what}") or []


def test_a_script_with_a_shebang(audit):
    """/proc says bash; the rule is about where the script is."""
    script = pathlib.Path(f"/tmp/imdsgate-collect-{os.getpid()}.sh")
    script.write_text(f'#!/bin/bash\nread -r host\nexec 3<>"/dev/tcp/$host/80"\nprintf "GET {ID} HTTP/1.0\\r\\nHost: 169.254.169.254\\r\\n\\r\\n" >&3\nwhile read -r line <&3; do :; done\n')
    script.chmod(0o755)
    try:
        event, = events_of(audit, "bash", "-c", f"exec {script} <<<169.254.169.254")
        assert field(event, "process.name") == "bash"
        assert str(script) in claimed(event, "executable")
        assert named(event)
    finally:
        script.unlink()


def test_busybox_wget(audit):
    event, = events_of(audit, "busybox", "wget", "-qO-", URL)
    assert field(event, "process.name") == "busybox"
    assert named(event), "its command line names the address"
    link = audit.lab.programs / "wget"
    link.symlink_to("/usr/bin/busybox")
    since = len(audit.events())
    audit.lab.run("bash", "-c", f'read -r url; exec {link} -qO- -i /dev/null "$url" <&-', user=1001)
    event, = events_of(audit, "bash", "-c", f"cd {audit.lab.programs}; read -r url < <(echo {URL}); ./wget -qO- $url; true")
    assert "wget" in claimed(event, "name") and named(event)
    assert len(audit.events()) > since


def test_nc_behind_its_alternatives_link(audit):
    request = shlex.quote(f"GET {ID} HTTP/1.0\r\nHost: 169.254.169.254\r\n\r\n")
    event, = events_of(audit, "bash", "-c", f"printf %s {request} | nc -q 3 169.254.169.254 80")
    assert field(event, "process.name") == "nc.openbsd"
    assert "nc" in claimed(event, "name") and named(event)


def test_a_tool_run_by_its_relative_path(audit, agent_binary):
    audit.lab.run("true", user=1001)
    copy(agent_binary, audit.lab.home / "1001" / "tool")
    event, = events_of(audit, "bash", "-c", f"cd && ./tool v4 {ID} --v1; true")
    assert "./tool" in claimed(event, "executable") and named(event)


MEMFD = """import os, sys
descriptor = os.memfd_create("update")
with open(sys.argv[1], "rb") as file:
    os.write(descriptor, file.read())
os.execve(descriptor, ["update", "v4", sys.argv[2], "--v1"], {})
"""


def test_a_program_in_memory(audit, agent_binary):
    """No criterion of the published rule is about it; that it is no file of this host is in the event."""
    program = copy(agent_binary, audit.lab.programs / "stored")
    event, = events_of(audit, "/usr/bin/python3", "-c", MEMFD, program, ID)
    assert field(event, "process.executable").startswith("/memfd:update")
    assert field(event, "imdsgate.proven.executable") is False


def test_entity_ids_are_of_processes(audit, tool):
    first, second = events_of(audit, "bash", "-c", f"{tool} v4 {ID} --v1; {tool} v4 {ID} --v1; true", count=2)
    assert field(first, "process.entity_id") != field(second, "process.entity_id")
    assert field(first, "process.parent.entity_id") == field(second, "process.parent.entity_id") is not None
