"""The table of cases, how one is run against a gateway, and what came of it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import signal
import subprocess
import threading

import yaml

from daemon import Gateway, field, reasons
from lab import ENVIRONMENT

HERE = pathlib.Path(__file__).resolve().parent
TIERS = ("bpf", "sock_diag")
SKIP = 77
CONTAINER = f"docker-{'5e1f' * 16}.scope"
STRANGERS = {"stranger", "hollow", "waiter", "setuid-waiter"}  # programs without a grant, where the others have one
LIMITS = {"holder": "another holder is named", "believed": "another program is believed"}  # faults, unless docs/identity.md states them
METHODS = {"kernel": "bpf", "prober": "sock_diag"}


@dataclasses.dataclass(frozen=True)
class Case:
    case: str
    about: str
    bpf: str
    sock_diag: str
    by: str = "kernel"
    run: tuple = ()
    shell: str = ""
    preload: tuple = ()
    user: int | str = 1001
    cgroup: str | None = None
    stopped: bool = False
    held: bool = False
    crowd: tuple = ()
    overrun: dict = dataclasses.field(default_factory=dict)
    limit: bool = False
    faulty: dict = dataclasses.field(default_factory=dict)
    fields: dict = dataclasses.field(default_factory=dict)
    bpf_fields: dict = dataclasses.field(default_factory=dict)
    first: dict = dataclasses.field(default_factory=dict)
    reasons: tuple = ()

    def fields_on(self, tier: str, number: int) -> dict:
        return self.fields | (self.bpf_fields if tier == "bpf" else {}) | (self.first if number == 1 else {})

    def expected(self, tier: str, number: int) -> list[str]:
        return _alternatives(getattr(self, tier), number)

    def named_by(self, tier: str, number: int) -> list[str]:
        """Who may have named whom a request is from."""
        return _alternatives(self.by, number) if tier == "bpf" else ["prober"]

    def unproven(self, tier: str) -> bool:
        """Which program it is cannot be known for certain."""
        return self.fields_on(tier, 1).get("imdsgate.proven.executable") is False

    @property
    def uid(self) -> str:
        """Whom it runs as when it asks."""
        return self.fields.get("user.id", str(self.user).partition(":")[0])


def _alternatives(text: str, number: int) -> list[str]:
    """Of the requests' parts the one of that number, or the last."""
    parts = text.split(";")
    return [word.strip() for word in parts[min(number, len(parts)) - 1].split("|")]


def table() -> list[Case]:
    return [Case(**entry) for entry in yaml.safe_load((HERE / "cases.yaml").read_text())]


@dataclasses.dataclass
class Truth:
    """One request: who sent it (with the forks that are the same suspect), and who else holds the socket; which program
    each truly is, and which one /proc gives for it where that is another."""
    asker: set[int]
    names: dict[int, str]
    guises: dict[int, str]

    @classmethod
    def parse(cls, line: str) -> tuple[int, "Truth"]:
        number, *words = line.split(" ")
        names, guises, asker = {}, {}, set()
        for pids, program in zip(words[::2], words[1::2]):
            numbers = {int(pid) for pid in pids.split("=")}
            name, _, guise = program.partition("/")
            names |= dict.fromkeys(numbers, name)
            guises |= dict.fromkeys(numbers, guise) if guise else {}
            asker = asker or numbers
        return int(number), cls(asker, names, guises)

    def programs(self, all_holders: bool) -> set[str]:
        return {name for pid, name in self.names.items() if all_holders or pid in self.asker}


def outcome(event: dict, truth: Truth) -> str:
    named = {field(event, "process.pid"): field(event, "process.name")}
    for holder in field(event, "imdsgate.attribution.holders") or []:
        named[holder["pid"]] = holder["name"]
    named.pop(None, None)  # "wrong": somebody is named who has nothing to do with it, or under another name
    if not named:
        return field(event, "imdsgate.attribution.reason") or ",".join(sorted(reasons(event)))
    for pid, name in named.items():
        if pid not in truth.names or name not in (truth.names[pid], truth.guises.get(pid)):
            return "wrong"
    claimed = {field(event, "process.pid")} if field(event, "imdsgate.proven.executable") is False else set()
    if any(name != truth.names[pid] for pid, name in named.items() if pid not in claimed):
        return "believed"
    if not truth.asker & named.keys():
        return "holder"
    return "named" if named.keys() <= truth.asker else "holders"


class Bench:
    """One gateway of one tier, and the places that the cases use."""

    def __init__(self, gateway: Gateway, programs: pathlib.Path):
        self.gateway, self.lab = gateway, gateway.lab
        self.granted = {program.name for program in programs.iterdir()} - STRANGERS
        self.lab.run("true", user=1001)
        self.lab.run("sysctl", "-qw", "net.ipv4.tcp_fastopen=5")  # clients, also without a cookie
        self.lab.run("sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=45555,45777,45888")  # the cases' own, nobody's by chance
        self.lab.run("true", cgroup="own/start")
        self.lab.run("true", cgroup="crowd")
        for program in programs.iterdir():
            target = self.lab.programs / program.name
            target.write_bytes(program.read_bytes())
            target.chmod(0o4755 if program.name.startswith("setuid-") else 0o755)
        root = subprocess.run(["findmnt", "-nft", "cgroup2", "-o", "TARGET"], capture_output=True, text=True, check=True).stdout.strip()
        self.group = pathlib.Path(root) / f"imdsgate-lab-{self.lab.name}"
        own = self.group / "own"
        for below in ("other", CONTAINER, "system.slice/amazon-ssm-agent.service"):
            (own / below).mkdir(parents=True)
        for directory in [own, *(path for path in own.rglob("*") if path.is_dir())]:  # as a service manager delegates it
            for path in (directory, directory / "cgroup.procs"):
                os.chown(path, 1001, 1001)

    def place(self, text: str) -> str:
        for name, value in {"programs": self.lab.programs, "home": self.lab.home / "1001", "own": self.group / "own",
                            "container": CONTAINER}.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def start(self, *command, user=1001, cgroup=None, env={}) -> subprocess.Popen:
        return subprocess.Popen(self.lab.command(list(command), user, cgroup), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                cwd="/", env={**ENVIRONMENT, **env})

    def command(self, case: Case) -> list:
        if case.shell:
            return ["bash", "-c", self.place(case.shell)]
        if case.preload:
            return list(case.preload)
        program, *how = case.run
        return [self.lab.programs / program, case.case, *map(self.place, how)]

    def observe(self, case: Case) -> dict[int, tuple[Truth, dict]] | None:
        """What it truly did, and the event of each request; None: not on this kernel."""
        crowd = self.start(*self.local(case.crowd), user=0, cgroup="crowd") if case.crowd else None
        try:
            if crowd:
                assert crowd.stdout.readline() == "ready\n"
            return self.run_after_overrun(case) if case.overrun else self.run(case)
        finally:
            if crowd:
                (self.group / "crowd" / "cgroup.kill").write_text("1")
                crowd.wait()

    def run_after_overrun(self, case: Case) -> dict[int, tuple[Truth, dict]] | None:
        """Again where the kernel had the time to deliver them all, as when its readers were slow to be stopped."""
        for _ in range(4):
            self.overrun(case)
            observed = self.run(case)
            named = [event for truth, event in (observed or {}).values() if outcome(event, truth) in ("named", "holders")]
            if all(set(case.reasons) <= reasons(event) for event in named):
                break
        return observed

    def overrun(self, case: Case) -> None:
        """Forks that the gateway's other processes, one of which is told of them, do not get to see in time."""
        others = [pid for pid in map(int, (self.group / "daemon" / "cgroup.procs").read_text().split()) if pid != self.gateway.pid]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            forks = (self.lab.programs / "forks", case.overrun[self.gateway.settings["attribution"]])
            assert self.start(*forks, user=0, cgroup="crowd").wait(180) == 0
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def local(self, command: tuple) -> list:
        return [self.lab.programs / command[0], *command[1:]]

    def run(self, case: Case) -> dict[int, tuple[Truth, dict]] | None:
        since = len(self.gateway.events())
        env = {"LD_PRELOAD": str(self.lab.programs / "preload.so"), "IDENTITY_CASE": case.case} if case.preload else {}
        if case.stopped:
            self.gateway.process.send_signal(signal.SIGSTOP)
        process = None
        truths: dict[int, Truth] = {}
        try:
            command = self.command(case)
            if case.preload:  # only the program itself, not the tools that put it into the lab
                command = ["env", *(f"{key}={value}" for key, value in env.items()), *command]
            process = self.start(*command, user=case.user, cgroup=case.cgroup)
            watchdog = threading.Timer(120, process.kill)
            watchdog.start()
            for line in process.stdout:
                if line == "go\n":
                    self.gateway.process.send_signal(signal.SIGCONT)
                    if case.held:
                        break
                    continue
                number, truth = Truth.parse(line.rstrip("\n"))
                truths[number] = truth
            self.gateway.process.send_signal(signal.SIGCONT)
            if not case.held and process.wait(120) == SKIP:
                return None
            return {number: (truth, self.event(case, number, since)) for number, truth in sorted(truths.items())}
        finally:
            self.gateway.process.send_signal(signal.SIGCONT)
            if process:
                watchdog.cancel()
                process.kill()
                process.wait()
                process.stdin.close()
                process.stdout.close()

    def event(self, case: Case, number: int, since: int) -> dict:
        if case.run == ["client", "direct"]:  # nothing is read
            return self.gateway.wait_event(lambda event: "not_redirected" in reasons(event), skip=since)
        path = f"/latest/meta-data/identity/{case.case}/{number}"
        return self.gateway.wait_event(lambda event: field(event, "url.path") == path and field(event, "event.kind") == "event", skip=since)
