"""One gateway a tier for all cases, in audit, from outside its lab so that it hears of execs."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "integration")]
import suite  # noqa: E402
from gateways import gateways  # noqa: E402


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> pathlib.Path:
    """programs/*.c, built."""
    target = tmp_path_factory.mktemp("programs")
    for source in sorted((HERE / "programs").glob("*.c")):
        library = source.stem == "preload"
        options = ["-shared", "-fPIC"] if library else ["-pthread"]
        output = target / (source.stem + (".so" if library else ""))
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", *options, "-o", output, source], check=True)
    shutil.copy(target / "waiter", target / "setuid-waiter")
    shutil.copy(target / "asker", target / "stranger")
    shutil.copy(target / "storm", target / "shot")
    shutil.copy(target / "port", target / "second")
    return target


def bench(start, tier: str, programs: pathlib.Path, mode: str = "audit", **configuration) -> suite.Bench:
    endpoints = [{"address": address, "port": 80} for address in ("169.254.169.254", "fd00:ec2::254", "169.254.170.2")]
    gateway = start(mode, outside=True, attribution=tier, endpoints=endpoints, **configuration)
    return suite.Bench(gateway, programs)


def pytest_addoption(parser):
    parser.addoption("--write-table", action="store_true", help="write what the suite says into docs/identity.md")
    parser.addoption("--connections", type=int, default=1000, help="how many the storm makes on each tier")


@pytest.fixture(scope="session")
def benches(programs):
    """benches(tier): started when it is first asked for."""
    made: dict[str, suite.Bench] = {}
    with gateways() as start:
        yield lambda tier: made.get(tier) or made.setdefault(tier, bench(start, tier, programs))


@pytest.fixture
def storm_bench(programs):
    """storm_bench(tier): one of its own, with room for all that are under way while the machine is busy elsewhere."""
    with gateways() as start:
        yield lambda tier: bench(start, tier, programs, limits={"connections": 4096, "connections_per_uid": 4096})


@pytest.fixture(scope="session")
def enforcing(programs):
    """The same in enforce, where nothing is served without a grant, and only uid 1001 has one, with the cases' programs but for suite.STRANGERS."""
    made: dict[str, suite.Bench] = {}

    def bench_of(tier: str) -> suite.Bench:
        bench_ = bench(start, tier, programs, "enforce", rules=[], classes={"general": "block"}, ec2={"imdsv1": "allow"})
        paths = ", ".join(f'"{bench_.lab.programs / name}"' for name in sorted(bench_.granted))
        when = f'process.executable in ({paths}) and user.id == "1001"'
        bench_.gateway.write(allow=[{"name": "cases", "when": when, "methods": ["GET"], "paths": ["/latest/meta-data/identity/**"]}])
        assert bench_.gateway.control("reload").returncode == 0
        return bench_

    with gateways() as start:
        yield lambda tier: made.get(tier) or made.setdefault(tier, bench_of(tier))
