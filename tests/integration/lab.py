"""One lab (scripts/lab.sh) as an object: commands run in it, sockets opened in it, its service's log read."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import follow

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "scripts" / "lab.sh"
CLIENTS = REPOSITORY / "tests" / "integration" / "clients"
V4, V6 = "169.254.169.254", "fd00:ec2::254"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent",
               "AWS_METADATA_SERVICE_TIMEOUT": "15"}  # botocore's second is one that the machine may stand still
_libc = ctypes.CDLL(None, use_errno=True)


class Lab:
    numbers = itertools.count(1)

    def __init__(self) -> None:
        self.name = f"it-{os.getpid()}-{next(self.numbers)}"
        self.directory = pathlib.Path(self._script("up", self.name).strip())
        self.home = pathlib.Path(f"/var/lib/imdsgate-lab/{self.name}/home")
        self.programs = pathlib.Path(f"/opt/imdsgate-lab/{self.name}")
        self.service_pid = 0

    def _script(self, *arguments: str) -> str:
        done = subprocess.run([SCRIPT, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, env=ENVIRONMENT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self, *options: str) -> None:
        self.service_pid = int(self._script("serve", self.name, *options))

    def down(self) -> None:
        self._script("down", self.name)

    def bridge(self, name: str, number: int) -> None:
        self._script("bridge", self.name, name, str(number))

    def container(self, name: str, bridge: str, number: int, member: int, *address: str) -> None:
        self._script("container", self.name, name, bridge, str(number), str(member), *address)

    def command(self, command: list, user: int | str | None = None, cgroup: str | None = None, cloud: bool = False,
                outside: bool = False, unit: str | None = None, container: str | None = None) -> list[str]:
        options = ["--cloud"] if cloud else ["--outside"] if outside else []
        options += ["--in", container] if container else []
        options += ["--user", str(user)] if user is not None else []
        options += ["--cgroup", cgroup] if cgroup else []
        options += ["--unit", unit] if unit else []
        # By bash: exec events tell what a script was exec'd as, and a checkout below /tmp would make every client suspect.
        return ["bash", str(SCRIPT), "exec", self.name, *options, "--", *map(self._readable, command)]

    def _readable(self, argument) -> str:
        """A program of ours is run as a copy in the lab: a checkout may lie where only root may enter."""
        if not (isinstance(argument, pathlib.Path) and argument.parent == CLIENTS):
            return str(argument)
        return shutil.copy(argument, self.programs)

    def run(self, *command, user=None, cgroup=None, cloud=False, timeout=120, cwd="/", env={}, unit=None,
            container=None) -> subprocess.CompletedProcess:
        """To its end, as `user`, in the host namespace (or the cloud's, or a container's)."""
        return subprocess.run(self.command(list(command), user, cgroup, cloud, unit=unit, container=container), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=timeout, cwd=cwd, env={**ENVIRONMENT, **env})

    def curl(self, *arguments: str, **options) -> tuple[int, str]:
        """Status (0: no answer) and body of one curl. Without further options it runs as uid 1001."""
        done = self.run("curl", "-sS", "-g", "--max-time", "20", "-w", "\n%{http_code}", *arguments, **{"user": 1001, **options})
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    @contextlib.contextmanager
    def _inside(self, namespace: str):
        """The calling thread's new sockets are in `namespace`."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        other = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            assert _libc.setns(other, 0x40000000) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert _libc.setns(own, 0x40000000) == 0
            os.close(own)
            os.close(other)

    def connect(self, address: str = V4, port: int = 80, cloud: bool = False, timeout: float = 20) -> socket.socket:
        """A connected socket of this process in the host namespace (or the cloud's)."""
        outcome: list = []

        def dial() -> None:
            try:
                with self._inside(self.name + ("-cloud" if cloud else "")):
                    outcome.append(socket.create_connection((address, port), timeout=timeout))
            except OSError as error:
                outcome.append(error)

        thread = threading.Thread(target=dial)  # of its own, so that no other thread ever changes namespace
        thread.start()
        thread.join()
        if isinstance(outcome[0], OSError):
            raise outcome[0]
        return outcome[0]

    def received(self) -> list[dict]:
        """What the service has logged so far."""
        return follow.lines(self.directory / "cloud.ndjson")

    def wait_received(self, predicate, timeout: float = 30) -> dict:
        return follow.wait_line(self.directory / "cloud.ndjson", predicate, timeout)

    def rules(self) -> str:
        """The firewall of the host namespace, without the comments, which hold the time."""
        saved = "".join(self.run(f"{family}-save").stdout for family in ("iptables", "ip6tables"))
        return "".join(line for line in saved.splitlines(keepends=True) if not line.startswith("#"))


def rss_kib(pid: int) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def deadline(seconds: float):
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()
