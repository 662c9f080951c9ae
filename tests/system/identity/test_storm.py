"""Short-lived clients (connect, send, exit) out of a fork storm: whoever is named is the right one, and how many are."""

from __future__ import annotations

import collections
import json

import pytest

import follow
import suite
from daemon import field
from lab import deadline


@pytest.mark.parametrize("tier", suite.TIERS)
def test_a_storm(tier: str, storm_bench, request):
    connections = request.config.getoption("connections")
    bench = storm_bench(tier)
    name = f"storm-{tier}"
    bench.lab.run("sysctl", "-qw", *ENOUGH_PORTS)
    patience = 60 + connections / 200
    storm = bench.start(bench.lab.programs / "storm", name, "1", str(connections + 1))
    truths = dict(suite.Truth.parse(line.rstrip("\n")) for line in storm.stdout)
    assert storm.wait(patience) == 0 and len(truths) == connections
    prefix = f"/latest/meta-data/identity/{name}/"
    last = bench.start(bench.lab.programs / "client", "storm-over").communicate("g")[0]  # accepted after all of them
    assert last
    bench.gateway.wait_event(lambda event: field(event, "url.path") == "/latest/meta-data/identity/storm-over/1", timeout=patience)
    outcomes, wrong = collections.Counter(), []
    for event in all_requests(bench, prefix, connections, patience):
        number = int(field(event, "url.path").removeprefix(prefix))
        outcome = suite.outcome(event, truths[number])
        outcomes[outcome] += 1
        if outcome not in ("named", *REASONS):
            wrong.append((truths[number], event))
    told = sum(outcomes.values())
    print(f"storm, {tier}: {connections} connections, {told} requests read, {outcomes['named']} named "
          f"({outcomes['named'] / connections:.1%}), {len(wrong)} wrong; {dict(outcomes)}")
    assert not wrong, json.dumps([str(one) for one in wrong[:3]])
    assert told == connections, "a request was lost"
    assert tier != "bpf" or outcomes["named"] == connections, outcomes


# Without these a storm that lasts runs out of its 28,000 ports, and of conntrack's room.
ENOUGH_PORTS = ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1",
                "net.netfilter.nf_conntrack_tcp_timeout_close=1"]

# Why nobody could be named, of who is gone by then.
REASONS = {"socket_gone", "socket_not_found", "no_holder", "process_gone", "holder_uncertain", "holder_changed", "unreadable",
           "walk_timeout", "attribution_timeout", "attribution_busy"}


def all_requests(bench: suite.Bench, prefix: str, count: int, seconds: float) -> list[dict]:
    """What was accepted last need not be told last; fewer when they do not come."""
    left, watch = deadline(seconds), follow.Watch(bench.gateway.events_path.parent)
    try:
        while len(found := list(requests(bench, prefix))) < count and left() > 0:
            watch.wait(min(1, left()))
        return found
    finally:
        watch.close()


def requests(bench: suite.Bench, prefix: str):
    """The events of the storm's requests, from a file that may have been rotated."""
    for path in sorted(bench.gateway.events_path.parent.iterdir()):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if prefix in line:
                    event = json.loads(line)
                    if field(event, "event.kind") == "event" and (field(event, "url.path") or "").startswith(prefix):
                        yield event
