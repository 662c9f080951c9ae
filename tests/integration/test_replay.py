"""`imdsgate replay` from outside: input forms, order, what is skipped, limits, exit codes, memory."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest

from daemon import BINARY
from lab import REPOSITORY

FIXTURES = REPOSITORY / "tests" / "fixtures" / "rules"
SEQUENCE = """sequence by host.id with maxspan=1s
  [process where process.name : "curl"] [network where destination.ip == "169.254.169.254"]"""


def rule(tmp_path: pathlib.Path, query: str, name: str = "r", **more) -> pathlib.Path:
    file = tmp_path / f"{name}.yaml"
    file.write_text(json.dumps({"id": name, "name": f"The rule {name}", "query": query, **more}))  # JSON is YAML
    return file


def events(*lines) -> bytes:
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


def replay(*arguments, input: bytes = b"", **options) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "replay", *arguments], input=input, capture_output=True, **options)


def alerts(run: subprocess.CompletedProcess) -> list[dict]:
    return [json.loads(line) for line in run.stdout.splitlines()]


def matched(run: subprocess.CompletedProcess) -> list[tuple[str, list[int]]]:
    return [(alert["rule"]["id"], alert["events"]) for alert in alerts(run) if "events" in alert]


def exec_event(time, **more):
    return {"@timestamp": time, "event": {"category": ["process"]}, "host": {"id": "h"}, "process": {"name": "curl"}, **more}


def connection(time, **more):
    return {"@timestamp": time, "event.category": "network", "host.id": "h", "destination.ip": "::ffff:169.254.169.254", **more}


def test_a_sequence_over_nested_dotted_and_mixed_keys(tmp_path):
    mixed = {"@timestamp": "2023-11-14T22:13:21.200Z", "event": {"category": "network"}, "host.id": "h", "destination": {"ip": ["169.254.169.254"]}}
    lines = events(exec_event(1_700_000_000_000), connection("1700000001000"), exec_event("2023-11-14T22:13:20.500Z"), mixed)
    run = replay("--rule", rule(tmp_path, SEQUENCE), "-", input=lines)
    # In time order: 0, 2, 1, 3; the newer exec takes the older one's place.
    assert (run.returncode, run.stderr) == (0, b"")
    assert matched(run) == [("r", [2, 1])]


def test_maxspan_counts_whole_milliseconds(tmp_path):
    for end, expected in (("1001.999", [("r", [0, 1])]), ("1002", [])):
        lines = events(exec_event(1.5), f'{{"@timestamp":{end},"event.category":"network","host.id":"h","destination.ip":"169.254.169.254"}}'.encode())
        assert matched(replay("--rule", rule(tmp_path, SEQUENCE), "-", input=lines)) == expected


def test_an_alert_is_the_last_event_and_the_rule(tmp_path):
    file = rule(tmp_path, SEQUENCE, severity="high", risk_score=73, tags=["OS: Linux"], description="Said.", version=3,
                threat=[{"framework": "MITRE ATT&CK", "tactic": {"id": "TA0006", "name": "Credential Access"}}])
    last = connection(1500, **{"event.id": "e-1", "event.kind": "event", "process.pid": 7, "process.name": "curl", "user.id": "33", "tags": ["theirs"],
                               "process.args": ["curl", "-H", "Authorization: Bearer abc"], "rule": {"id": "theirs"}, "odd": [None, 1.5, True, {"a.b": 1}]})
    run = replay("--rule", file, "-", input=events(exec_event(1000), last))
    (alert,) = alerts(run)
    assert alert["rule"] == {"id": "r", "name": "The rule r", "version": "3", "description": "Said."}
    assert alert["events"] == [0, 1]
    assert alert["@timestamp"] == "1970-01-01T00:00:01.500Z"
    assert alert["event"]["category"] == "network"
    assert alert["event"] | {"id": ""} == {"category": "network", "id": "", "kind": "alert", "severity": 73, "risk_score": 73, "reason": "r: The rule r"}
    assert alert["event"]["id"] != "e-1" and alert["imdsgate"] == {"request_event_id": "e-1"}
    assert alert["process"] | {"args": []} == {"pid": 7, "name": "curl", "args": []}
    assert alert["process"]["args"][:2] == ["curl", "-H"] and "abc" not in run.stdout.decode()
    assert alert["destination"] == {"ip": "::ffff:169.254.169.254"}
    assert alert["tags"] == ["OS: Linux"]
    assert alert["threat"] == {"framework": "MITRE ATT&CK", "tactic": {"id": ["TA0006"], "name": ["Credential Access"], "reference": []}}
    assert alert["odd"] == [None, 1.5, True, {"a": {"b": 1}}]
    assert alert["message"] == "curl (pid 7, uid 33): r: The rule r"


def test_alerts_come_in_the_order_of_events_then_of_rules(tmp_path):
    rules = ["--rule", rule(tmp_path, "any where true", "all"), "--rule", rule(tmp_path, "network where true", "net")]
    run = replay(*rules, "--max-alerts", "none", "-", input=events(connection(3), exec_event(2), connection(1)))
    assert matched(run) == [("all", [2]), ("net", [2]), ("all", [1]), ("all", [0]), ("net", [0])]


def test_what_is_no_event_is_named_and_skipped(tmp_path):
    lines = events(b"{", exec_event(1), b"", b"[]", {"event.category": "process"}, {"@timestamp": "soon"}, connection(2)) + b'{"@timestamp": 3'
    file = tmp_path / "e.ndjson"
    file.write_bytes(lines)
    for source, input, shown in ((file, b"", str(file)), ("-", lines, "-")):
        run = replay("--rule", rule(tmp_path, SEQUENCE), source, input=input)
        assert run.returncode == 1
        assert matched(run) == [("r", [1, 6])]
        named = [line for line in run.stderr.decode().splitlines() if line.startswith(shown + ":")]
        assert [line.split(": ")[0] for line in named] == [f"{shown}:{number}" for number in (1, 3, 4, 5, 6, 8)]
        assert "6 lines" in run.stderr.decode().splitlines()[-1]


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    mark = b"\xef\xbb\xbf"
    for lines in (events(exec_event(1), connection(2)), events(connection(2), exec_event(1))):  # read once, and twice
        run = replay("--rule", rule(tmp_path, SEQUENCE), "-", input=mark + lines)
        assert run.returncode == 0 and len(matched(run)) == 1, run.stderr
    run = replay("--rule", rule(tmp_path, "any where true"), "-", input=mark + events(exec_event(1)) + mark + events(exec_event(2)))
    assert run.returncode == 1 and matched(run) == [("r", [0])]
    assert alerts(run)[0]["process"] == {"name": "curl"}


def test_a_pipe_by_its_name_and_a_file_in_another_directory_for_temporary_ones(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen([BINARY, "replay", "--rule", rule(tmp_path, SEQUENCE), fifo], stdout=subprocess.PIPE) as run:
        fifo.write_bytes(events(connection(1500), exec_event(1000)))
        assert json.loads(run.communicate()[0])["events"] == [1, 0]
    run = replay("--rule", rule(tmp_path, SEQUENCE), "-", input=events(exec_event(1)), env={"TMPDIR": str(tmp_path / "none")})
    assert run.returncode == 2 and b"none" in run.stderr


def test_the_limit_on_alerts(tmp_path):
    file = rule(tmp_path, "process where true", max_alerts=2, interval="1s")
    many = [exec_event(time, user={"id": "0"}) for time in range(5)] + [exec_event(1500, user={"id": "0"}), exec_event(1501, user={"id": "0"})]
    run = replay("--rule", file, "-", input=events(*many))
    lines = alerts(run)
    assert [line.get("events") for line in lines] == [[0], [1], None, [5], [6]]
    assert lines[2]["event"]["action"] == "suppressed" and lines[2]["imdsgate"]["suppressed_count"] == "3"
    assert lines[2]["rule"]["id"] == "r" and lines[2]["@timestamp"] == "1970-01-01T00:00:01.000Z"
    # The first of each executable, user and class is never held back.
    other = replay("--rule", file, "-", input=events(*many[:5], exec_event(5, user={"id": "1"})))
    assert [line.get("events") for line in alerts(other)] == [[0], [1], [5], None]
    assert len(alerts(replay("--rule", file, "--max-alerts", "none", "-", input=events(*many)))) == 7
    assert [line.get("events") for line in alerts(replay("--rule", file, "--max-alerts", "1", "-", input=events(*many[:3])))] == [[0], None]


def test_the_limit_on_alerts_in_any_year(tmp_path):
    file = rule(tmp_path, "process where true", max_alerts=1, interval="1m")
    times = [f"{day}T00:00:{second:02}Z" for day in ("0001-01-01", "1500-06-01", "2500-01-01", "9999-12-31") for second in (0, 1)]
    lines = alerts(replay("--rule", file, "-", input=events(*(exec_event(time) for time in times))))
    assert [line.get("events") for line in lines] == [[0], None, [2], None, [4], None, [6], None]
    assert [line["@timestamp"] for line in lines[1::2]] == [f"{day}T00:01:00.000Z" for day in ("0001-01-01", "1500-06-01", "2500-01-01", "9999-12-31")]


def test_rule_files_from_elsewhere(tmp_path):
    lines = events({"@timestamp": 1, "event": {"category": "process", "action": "exec"}, "host.id": "h", "process": {"entity_id": "e", "executable": "/tmp/x", "parent": {"name": "bash"}}},
                   {"@timestamp": 2, "event.category": ["network"], "host.id": "h", "process.entity_id": "e", "destination.ip": "169.254.169.254"},
                   {"@timestamp": 3, "event.category": "web", "url.path": "/latest/meta-data/iam/security-credentials/role"})
    run = replay("--rule", FIXTURES / "kibana_export.ndjson", "--rule", FIXTURES / "repository.toml", "-", input=lines)
    assert run.returncode == 0
    assert matched(run) == [("shell-asks", [0, 1]), ("dropped-program", [0, 1]), ("tool-asks", [2])]


@pytest.mark.parametrize("arguments,said", [
    ([], "--rule"), (["--rule", "RULE"], "EVENTS"), (["--rule", "RULE", "--max-alerts", "few", "-"], "few"),
    (["--rule", "RULE", "--max-alerts", "-1", "-"], "-1"), (["--rule", "none.yaml", "-"], "none.yaml"),
    (["--rule", "RULE", "none.ndjson"], "none.ndjson"), (["--rule", "RULE", "."], "."), (["--rule", "BROKEN", "-"], "broken.yaml:1:"),
    (["--rule", "RULE", "--rule", "RULE", "-"], "id r"), (["--rule", "RULE", "--unknown", "-"], "--unknown"),
])
def test_usage_rules_and_events_that_cannot_be_read(tmp_path, arguments, said):
    named = {"RULE": rule(tmp_path, SEQUENCE), "BROKEN": rule(tmp_path, "process where process.name ==", "broken")}
    run = replay(*(named.get(argument, argument) for argument in arguments), input=events(exec_event(1)))
    assert run.returncode == 2
    assert said in run.stderr.decode() and not run.stdout


def test_all_problems_are_named(tmp_path):
    broken = [rule(tmp_path, "process were true", "a"), rule(tmp_path, "process where", "b")]
    run = replay("--rule", broken[0], "--rule", broken[1], "none.ndjson")
    assert run.returncode == 2
    assert all(name in run.stderr.decode() for name in ("a.yaml", "b.yaml", "none.ndjson"))


def test_an_answer_that_cannot_be_written(tmp_path):
    with open("/dev/full", "wb") as full:
        run = subprocess.run([BINARY, "replay", "--rule", rule(tmp_path, "any where true"), "-"], input=events(exec_event(1)), stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 1 and b"No space" in run.stderr


def test_memory_does_not_grow_with_an_ordered_file(tmp_path):
    """A file of 50 MB; what is allowed beside the program is less than a twentieth of it."""
    file = tmp_path / "large.ndjson"
    filler = "x" * 900
    with file.open("w") as out:
        for time in range(50_000):
            out.write(f'{{"@timestamp":{time},"event.category":"process","host.id":"h{time % 97}","process":{{"name":"sh","command_line":"{filler}"}}}}\n')
    assert file.stat().st_size > 50_000_000
    peaks = {}
    for name, source in (("empty", "/dev/null"), ("large", file)):
        with subprocess.Popen([BINARY, "replay", "--rule", rule(tmp_path, SEQUENCE), source]) as run:
            _, status, usage = os.wait4(run.pid, 0)
            run.returncode = os.waitstatus_to_exitcode(status)
        assert run.returncode == 0
        peaks[name] = usage.ru_maxrss  # KiB
    assert peaks["large"] - peaks["empty"] < 2_500, peaks
