"""`imdsgate replay` against a second implementation (tests/reference), over random streams: no difference at all.

IMDSGATE_REFERENCE_SEEDS="100-139" takes other seeds than the ones below, as many as one has time for.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from daemon import BINARY
from lab import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "reference"))
import eql  # noqa: E402
import random_rules  # noqa: E402
import streams  # noqa: E402

SHIPPED = REPOSITORY / "config" / "rules" / "unusual-imds-request.yaml"
PUBLISHED = os.environ.get("IMDSGATE_PUBLISHED_RULE", REPOSITORY.parent / "shared" / "seed" / "unusual-imds-request-v2.txt")

# The form the rule is published in: a sequence on the parent, the exclusions bound to the last criterion only.
SEQUENCE = """
sequence by host.id, process.parent.entity_id with maxspan=1s
  [process where host.os.type == "linux" and event.type == "start" and event.action == "exec" and
    process.name : ("curl", "wget", "python*", "perl*", "nc", "ncat", "awk", "socat") or
    process.executable : ("./*", "/tmp/*", "/dev/shm/*", "/etc/rc*.d/*", "/etc/cron*", "/etc/rc.local") or
    process.command_line : "*169.254.169.254*" and not (
      process.working_directory : ("/opt/rapid7*", "/var/snap/amazon-ssm-agent/*") or
      process.executable : "/opt/rumble/bin/rumble-agent*" or
      process.parent.executable : ("/usr/bin/setup-policy-routes", "/var/lib/amazon/ssm/*"))]
  [network where host.os.type == "linux" and event.action == "connection_attempted" and destination.ip == "169.254.169.254"]
"""


def seeds() -> list[int]:
    first, _, last = os.environ.get("IMDSGATE_REFERENCE_SEEDS", "1-20").partition("-")
    return list(range(int(first), int(last or first) + 1))


def shipped_query() -> str:
    """The block that ends the shipped rule's file."""
    text = SHIPPED.read_text()
    return text[text.index("query: |") + len("query: |"):]


def published_query() -> str | None:
    """The text as its authors published it, where there is a copy; the page runs its word "edit" into it."""
    try:
        text = pathlib.Path(PUBLISHED).read_text()
    except OSError:
        return None
    text = text[text.index("Rule query"):]
    return text[text.index("edit") + 4:text.index("Framework:")]


def differences(tmp_path: pathlib.Path, rules: dict[str, str], lines: list[bytes]) -> list[str]:
    events = tmp_path / "events.ndjson"
    events.write_bytes(b"\n".join(lines) + b"\n")
    arguments = []
    for name, query in rules.items():
        file = tmp_path / f"{name}.yaml"  # JSON is YAML
        file.write_text(json.dumps({"id": name, "name": name, "query": query}, ensure_ascii=False))
        arguments += ["--rule", file]
    run = subprocess.run([BINARY, "replay", "--max-alerts", "none", *arguments, events], capture_output=True)
    assert run.returncode in (0, 1), run.stderr.decode()

    records, malformed = eql.read(lines)
    skipped = [int(line.split(b":")[1]) - 1 for line in run.stderr.splitlines() if line.startswith(bytes(events))]
    position = {record.line: number for number, record in enumerate(records)}
    order = {name: number for number, name in enumerate(rules)}

    def place(match):
        return position[match[1][-1]], order[match[0]], match[1]

    ours = [(alert["rule"]["id"], tuple(alert["events"])) for alert in map(json.loads, run.stdout.splitlines())]
    theirs = eql.replay(rules, records)
    found = [f"line {number + 1}: an event for only one of the two" for number in set(skipped) ^ set(malformed)]
    if [place(match)[:2] for match in ours] != sorted(place(match)[:2] for match in ours):
        found.append("the alerts are not in the order of their last events, then of the rules")
    for who, some, others in (("replay", ours, theirs), ("reference", theirs, ours)):
        rest = sorted(others, key=place)
        extra = set(some) - set(others)
        found += [f"only the {who} has {rule} over {numbers}: {rules[rule]}" for rule, numbers in sorted(extra)]
        if not extra and sorted(some, key=place) != rest:
            found.append("a match is there more often in one than in the other")
    return found


def test_the_rule_as_published_and_as_shipped(tmp_path):
    rules = {"sequence": SEQUENCE, "shipped": shipped_query()}
    if published := published_query():
        rules["published"] = published
    lines = streams.stream(seeds()[0], 60_000, malformed=2)
    assert not differences(tmp_path, rules, lines)


@pytest.mark.parametrize("seed", seeds())
def test_random_rules(tmp_path, seed):
    assert not differences(tmp_path, random_rules.rules(seed, 14), streams.stream(seed, 2_500, malformed=2))


def test_the_streams_do_what_they_are_for():
    """Disorder, equal times and malformed lines; and the rules above do match something, and not everything."""
    lines = streams.stream(1, 5_000, malformed=2)
    records, malformed = eql.read(lines)
    by_line = sorted(records, key=lambda record: record.line)
    earlier = sum(b.time < a.time for a, b in zip(by_line, by_line[1:]))
    equal = sum(b.time == a.time for a, b in zip(by_line, by_line[1:]))
    assert malformed and earlier > 50 and equal > 500
    matches = eql.replay({"sequence": SEQUENCE, "shipped": shipped_query()}, records)
    counts = [sum(name == wanted for name, _ in matches) for wanted in ("sequence", "shipped")]
    assert all(5 < count < 2_500 for count in counts), counts
