"""Fixtures: `lab` (no service, no gateway), `gateway` (one a test), `shared_gateway` (one a module)."""

from __future__ import annotations

import os
import pathlib
import resource
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
from gateways import gateways, labs  # noqa: E402
from lab import REPOSITORY  # noqa: E402

CACHE = pathlib.Path(os.environ.get("IMDSGATE_CACHE", REPOSITORY / "build" / "cache"))


def pytest_configure(config):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


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


def unpacked(agent: str) -> pathlib.Path:
    """The tree of a package that scripts/deps.sh fetched."""
    tree = CACHE / agent / "root"
    if not tree.is_dir():
        pytest.fail(f"{tree} is missing: run scripts/deps.sh")
    return tree


@pytest.fixture(scope="session")
def cloud_init() -> pathlib.Path:
    return unpacked("cloud-init")


@pytest.fixture(scope="session")
def waagent() -> pathlib.Path:
    return unpacked("waagent")


@pytest.fixture(scope="session")
def agents():
    """The tree of any of them, by the package's name."""
    return unpacked
