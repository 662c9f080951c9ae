"""An agent whose file is replaced while it runs, by an upgrade of its package, keeps what was proven, over a restart of the daemon too."""

from __future__ import annotations

import os
import select
import shutil
import subprocess

import pytest

from daemon import field, has
from lab import CLIENTS, ENVIRONMENT

ROLE = "/latest/meta-data/iam/security-credentials/demo-role"


class Agent:
    """clients/asking.py, run by a copy of the interpreter that is root's: a program of its own, as far as anybody can tell."""

    def __init__(self, lab):
        self.path = lab.programs / "agent"
        shutil.copy("/usr/bin/python3", self.path)
        self.process = subprocess.Popen(lab.command([self.path, CLIENTS / "asking.py"], user=1001), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, bufsize=1)

    def ask(self) -> int:
        self.process.stdin.write(ROLE + "\n")
        assert select.select([self.process.stdout], [], [], 15)[0], "the agent says nothing"
        return int(self.process.stdout.readline())

    def upgrade(self) -> None:
        shutil.copy("/usr/bin/python3", f"{self.path}.new")
        os.rename(f"{self.path}.new", self.path)


@pytest.fixture
def served(lab):
    lab.serve()
    return lab


@pytest.fixture
def agent(served):
    agent = Agent(served)
    yield agent
    agent.process.kill()
    agent.process.wait()


def granting(agent: Agent) -> dict:
    return {"rules": [], "allow": [{"name": "agent", "when": f'process.executable == "{agent.path}" and user.id == "1001"',
                                    "methods": ["GET"], "paths": [ROLE], "imdsv1": "allow"}]}


def proven_file(gateway):
    return gateway.lab.directory / f"{gateway.config.stem}.sock.proven"


def why_unproven(daemon, since: int) -> str | None:
    return field(daemon.wait_event(has(event__kind="event", url__path=ROLE), skip=since), "imdsgate.unproven")


def test_what_was_proven_outlives_the_daemon(gateway, served, agent):
    first = gateway("enforce", lab=served, **granting(agent))
    assert agent.ask() == 200
    agent.upgrade()
    assert agent.ask() == 200
    assert first.stop() == 0
    assert proven_file(first).stat().st_mode & 0o777 == 0o600
    second = gateway("enforce", lab=served, **granting(agent))
    assert agent.ask() == 200
    assert second.stop() == 0
    third = gateway("enforce", lab=served, **granting(agent))  # and what the second only knew from the first
    assert agent.ask() == 200
    assert third.stop() == 0


def test_a_daemon_that_never_saw_it_does_not_believe_it(gateway, served, agent):
    first = gateway("enforce", lab=served, **granting(agent))
    agent.upgrade()
    assert agent.ask() == 403
    assert why_unproven(first, 0) == "exe_replaced"


@pytest.mark.parametrize("spoil", ["others_may_write", "another_users", "garbage"])
def test_a_file_that_may_be_forged_is_ignored(gateway, served, agent, spoil):
    first = gateway("enforce", lab=served, **granting(agent))
    assert agent.ask() == 200
    assert first.stop() == 0
    agent.upgrade()
    path = proven_file(first)
    if spoil == "others_may_write":
        path.chmod(0o622)
    elif spoil == "another_users":
        os.chown(path, 1001, 1001)
    else:
        path.write_text(path.read_text()[:-9])
    since = len(first.events())
    second = gateway("enforce", lab=served, **granting(agent))
    assert agent.ask() == 403 and why_unproven(second, since) == "exe_replaced"
    assert "what was proven before is not known" in second.log()


def test_the_new_program_is_proven_as_itself(gateway, served, agent):
    """Under the same name another process runs, which what was noted of the first is not about."""
    first = gateway("enforce", lab=served, **granting(agent))
    assert agent.ask() == 200
    agent.upgrade()
    assert first.stop() == 0
    second = gateway("enforce", lab=served, **granting(agent))
    other = Agent.__new__(Agent)
    other.process = subprocess.Popen(served.command([agent.path, CLIENTS / "asking.py"], user=1001), stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, bufsize=1)
    try:
        assert other.ask() == 200 and agent.ask() == 200
    finally:
        other.process.kill()
        other.process.wait()
    assert second.process.poll() is None
