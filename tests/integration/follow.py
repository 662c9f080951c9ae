"""NDJSON files that someone else appends to: waits for a line with inotify, never by sleeping."""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import select
import time

_libc = ctypes.CDLL(None, use_errno=True)
IN_MODIFY, IN_CREATE, IN_MOVED_TO, IN_NONBLOCK = 0x2, 0x100, 0x80, 0o4000


class Watch:
    """Wakes up whenever something is written in a directory."""

    def __init__(self, directory: pathlib.Path):
        self.descriptor = _libc.inotify_init1(os.O_CLOEXEC | IN_NONBLOCK)
        assert self.descriptor >= 0
        mask = IN_MODIFY | IN_CREATE | IN_MOVED_TO
        assert _libc.inotify_add_watch(self.descriptor, os.fsencode(directory), mask) >= 0
        self.poll = select.poll()
        self.poll.register(self.descriptor, select.POLLIN)

    def wait(self, seconds: float) -> None:
        if self.poll.poll(max(0.0, seconds) * 1000):
            os.read(self.descriptor, 65536)

    def close(self) -> None:
        os.close(self.descriptor)


def lines(path: pathlib.Path) -> list[dict]:
    """Every complete line so far; a line that is not strict JSON is the test's failure."""
    if not path.exists():
        return []
    data = path.read_bytes()
    complete = data[: data.rfind(b"\n") + 1].decode("utf-8", errors="strict")
    return [json.loads(line, parse_constant=_refuse) for line in complete.split("\n") if line]


def _refuse(name: str):
    raise ValueError(f"{name} is not JSON")


def wait_line(path: pathlib.Path, predicate, timeout: float, skip: int = 0) -> dict:
    """The first line from number `skip` on that the predicate accepts."""
    watch = Watch(path.parent)
    end = time.monotonic() + timeout
    try:
        while True:
            seen = lines(path)[skip:]
            for line in seen:
                if predicate(line):
                    return line
            if time.monotonic() >= end:
                listing = "\n".join(json.dumps(line)[:3000] for line in seen[-20:])
                raise AssertionError(f"no such line within {timeout} s in {path}; the last of {len(seen)}:\n{listing}")
            watch.wait(end - time.monotonic())
    finally:
        watch.close()
