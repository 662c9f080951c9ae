"""The gateway as an operator runs it: a configuration file, `imdsgate run`, READY over sd_notify, events from its file."""

from __future__ import annotations

import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess

import follow
from lab import ENVIRONMENT, Lab

BINARY = os.environ.get("IMDSGATE_BINARY", "")
UNIT_CAPABILITIES = ("net_admin", "net_raw", "net_bind_service", "sys_ptrace", "dac_read_search")
SERVICE_USER = 990


def field(event: dict, name: str):
    """`process.parent.name`, whether the line nests objects or has dotted keys; None when it is absent."""
    if name in event:
        return event[name]
    head, _, rest = name.partition(".")
    while rest:
        if isinstance(event.get(head), dict):
            return field(event[head], rest)
        part, _, rest = rest.partition(".")
        head = f"{head}.{part}"
    return None


def has(**expected):
    """A predicate: has(process__name="curl", event__kind="alert")."""
    def matches(event: dict) -> bool:
        for key, value in expected.items():
            found = field(event, key.replace("__", "."))
            if found != value and not (isinstance(found, list) and value in found):
                return False
        return True
    return matches


def reasons(event: dict) -> set[str]:
    """Every reason name that the event gives."""
    found = {name for name in (field(event, "imdsgate.reason"), field(event, "imdsgate.failure")) if name}
    return found | {finding["name"] for finding in field(event, "imdsgate.reasons") or []}


class Gateway:
    def __init__(self, lab: Lab, mode: str, name: str = "gateway", **configuration):
        self.lab, self.process = lab, None
        self.config = lab.directory / f"{name}.yaml"
        self.events_path = lab.directory / f"{name}.events" / "events.ndjson"
        self.events_path.parent.mkdir(exist_ok=True)
        self.errors = lab.directory / f"{name}.err"
        self.settings = {
            "mode": mode, "provider": "ec2", "control": {"socket": str(lab.directory / f"{name}.sock")},
            "sinks": [{"type": "file", "path": str(self.events_path), "max_size": "2048MiB"}],
            "attribution": os.environ.get("IMDSGATE_ATTRIBUTION"), **configuration,
            # No test goes by how fast this machine is.
            "limits": {"attribution_timeout": "5s", **configuration.get("limits", {})},
            "upstream": {"connect_timeout": "5s", **configuration.get("upstream", {})},
        }
        self.write()

    def write(self, **changes) -> None:
        """The configuration file: JSON is YAML, but for quantities, which are plain words there."""
        self.settings.update(changes)
        text = json.dumps({key: value for key, value in self.settings.items() if value is not None}, indent=1)
        self.config.write_text(re.sub(r'"(\d+(?:ms|s|m|h|d|KiB|MiB))"', r"\1", text) + "\n")

    def start(self, ready: bool = True, by: tuple = (), outside: bool = False) -> "Gateway":
        """`outside`: from the machine's own network with --netns, where the kernel tells of execs."""
        path = self.lab.directory / f"notify-{os.urandom(4).hex()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            path.chmod(0o666)  # whoever the daemon runs as
            netns = ["--netns", self.lab.name] if outside else []
            command = self.lab.command([*by, BINARY, "run", "--config", self.config, *netns], cgroup="daemon", outside=outside)
            with open(self.errors, "ab") as errors:
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd="/",
                                                env={**ENVIRONMENT, "NOTIFY_SOCKET": str(path)})
            if ready:
                self._wait_ready(notify)
        return self

    def start_as_service(self, *more: str, ready: bool = True, within: tuple = ()) -> "Gateway":
        """By a user of its own, with the unit's capabilities (those for BPF left out) and `more`; `within`: started by root's command."""
        service = self.lab.directory / "service"
        for path in (service, self.events_path.parent):
            path.mkdir(exist_ok=True)
            os.chown(path, SERVICE_USER, SERVICE_USER)
        self.write(control={"socket": str(service / "control.sock")})
        capabilities = ",".join(["-all", *(f"+{name}" for name in (*UNIT_CAPABILITIES, *more))])
        return self.start(ready, by=(*within, "setpriv", f"--reuid={SERVICE_USER}", f"--regid={SERVICE_USER}", "--clear-groups",
                                     f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", f"--bounding-set={capabilities}", "--"))

    def _wait_ready(self, notify: socket.socket) -> None:
        pidfd = os.pidfd_open(self.process.pid)
        try:
            while True:
                readable, _, _ = select.select([notify, pidfd], [], [], 60)
                if notify in readable:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return
                elif pidfd in readable:
                    raise AssertionError(f"imdsgate ended with {self.process.wait()}:\n{self.log()}")
                else:
                    raise AssertionError(f"no READY within 60 s:\n{self.log()}")
        finally:
            os.close(pidfd)

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.errors.read_text(errors="replace")[-4000:] if self.errors.exists() else ""

    def stop(self, number: int = signal.SIGTERM, timeout: float = 30) -> int:
        """Signals it and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def events(self) -> list[dict]:
        return follow.lines(self.events_path)

    def wait_event(self, predicate, timeout: float = 30, skip: int = 0) -> dict:
        return follow.wait_line(self.events_path, predicate, timeout, skip)

    def control(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """A subcommand that reads the same configuration, as root unless `user` says otherwise."""
        return self.lab.run(BINARY, *arguments, "--config", self.config, **options)
