"""Labs and gateways that are there for a while: what the fixtures of every suite are made of."""

from __future__ import annotations

import contextlib
import os
import sys

import pytest

from daemon import BINARY, Gateway
from lab import Lab


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
