"""imdsgate.exec_seq tells the programs of one process apart, which have one process.entity_id."""

from __future__ import annotations

import subprocess
import textwrap

import pytest

from daemon import field, has
from lab import V4

# Asks, becomes another bash, asks again: until 3. Before that it waits for a line.
ASK = textwrap.dedent(f"""\
    [[ $1 != 1 ]] || {{ echo ready; read -r _; }}
    exec 9<>/dev/tcp/{V4}/80
    printf 'GET %s/%s HTTP/1.1\\r\\nHost: {V4}\\r\\n\\r\\n' "$0" "$1" >&9
    read -r _ <&9
    exec 9>&-
    [[ $1 == 3 ]] || exec bash -c "$BASH_EXECUTION_STRING" "$0" $(($1 + 1))
    """)


def start(lab, path: str) -> subprocess.Popen:
    process = subprocess.Popen(lab.command(["bash", "-c", ASK, path, "1"], user=1001), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("tier", ["bpf", "sock_diag"])
def test_it_grows_with_each_exec_and_is_absent_where_none_was_seen(gateway, lab, tier):
    lab.serve()
    older, later = "/latest/meta-data/older", "/latest/meta-data/later"
    processes = {older: start(lab, older)}
    daemon = gateway("audit", lab=lab, outside=True, attribution=tier, rules=[], deny=[{"name": "bash", "when": 'process.name == "bash"'}])
    processes[later] = start(lab, later)
    for path, process in processes.items():
        process.communicate("go\n", timeout=60)
        seen = {kind: [daemon.wait_event(has(event__kind=kind, url__path=f"{path}/{number}")) for number in (1, 2, 3)] for kind in ("event", "alert")}
        sequences = [field(event, "imdsgate.exec_seq") for event in seen["event"]]
        assert sequences == [field(event, "imdsgate.exec_seq") for event in seen["alert"]]
        assert len({field(event, "process.entity_id") for event in seen["event"]}) == 1
        assert {field(event, "process.pid") for event in seen["event"]} == {process.pid}
        if path == older:
            assert sequences == [None, 1, 2]
        else:
            first = sequences[0]
            assert first >= 1 and sequences == [first, first + 1, first + 2]
