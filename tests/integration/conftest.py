"""Fixtures: `lab` (no service, no gateway), `gateway` (one a test), `shared_gateway` (one a module)."""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
from daemon import BINARY, Gateway  # noqa: E402
from lab import REPOSITORY, Lab  # noqa: E402

CLOUD_INIT = pathlib.Path(os.environ.get("IMDSGATE_CACHE", REPOSITORY / "build" / "cache")) / "cloud-init" / "root"


def pytest_configure(config):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


@contextlib.contextmanager
def labs():
    made: list[Lab] = []

    def make() -> Lab:
        made.append(Lab())
        return made[-1]

    try:
        yield make
    finally:
        for lab in made:
            lab.down()


@contextlib.contextmanager
def gateways():
    """gateway(mode, service="--provider gce", lab=None, **configuration): running, in a lab of its own unless one is given."""
    started: list[Gateway] = []
    with labs() as make:
        def start(mode: str = "audit", service: str = "", lab: Lab | None = None, before=None, outside: bool = False, **configuration) -> Gateway:
            if not (BINARY and os.access(BINARY, os.X_OK)):
                pytest.fail("IMDSGATE_BINARY is not the program")
            if lab is None:
                lab = make()
                lab.serve(*service.split())
            if before:
                before(lab)
            started.append(Gateway(lab, mode, **configuration))
            return started[-1].start(outside=outside)
        try:
            yield start
        finally:
            for gateway in started:
                if gateway.process and gateway.process.poll() is None:
                    gateway.process.kill()
                    gateway.process.wait()
                if log := gateway.log():
                    print(f"--- {gateway.config.name}\n{log}", file=sys.stderr)


@pytest.fixture
def gateway():
    with gateways() as start:
        yield start


@pytest.fixture(scope="module")
def shared_gateway():
    with gateways() as start:
        yield start


@pytest.fixture
def lab():
    with labs() as make:
        yield make()


@pytest.fixture(scope="session")
def agent_binary(tmp_path_factory) -> pathlib.Path:
    """tests/fakes/agent.c, linked statically, so that a copy runs from anywhere."""
    target = tmp_path_factory.mktemp("agent") / "agent"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", target, REPOSITORY / "tests/fakes/agent.c"], check=True)
    return target


@pytest.fixture(scope="session")
def cloud_init() -> pathlib.Path:
    if not CLOUD_INIT.is_dir():
        pytest.fail(f"{CLOUD_INIT} is missing: run scripts/deps.sh")
    return CLOUD_INIT
