#!/usr/bin/python3
"""N events as an endpoint agent records them, in order, one a line of 1,100 to 1,500 bytes: replay_events.py N"""

import datetime
import json
import random
import sys

pick = random.Random(3)
NAMES = ["bash", "sh", "curl", "python3.11", "sshd", "cron", "node", "ls", "cat", "sed", "systemd"]


def digits(count: int) -> str:
    return "".join(pick.choice("0123456789abcdef") for _ in range(count))


IDS = ["-".join(map(digits, (8, 4, 4, 4, 12))) for _ in range(400)]


def event(number: int, milliseconds: int) -> dict:
    time = datetime.datetime.fromtimestamp(milliseconds // 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03}Z"
    network = pick.random() < 0.3
    name = pick.choice(NAMES)
    arguments = [name] + [digits(pick.randrange(3, 30)) for _ in range(pick.randrange(6))]
    kind, action = ("network", "connection_attempted") if network else ("process", pick.choice(["exec", "fork", "end"]))
    found = {
        "@timestamp": time, "agent": {"id": IDS[0], "type": "endpoint", "version": "8.11.0"}, "ecs": {"version": "8.11.0"},
        "data_stream": {"type": "logs", "dataset": f"endpoint.events.{kind}", "namespace": "default"},
        "event": {"id": IDS[number % 400], "sequence": number, "kind": "event", "category": [kind], "type": ["start"], "action": action,
                  "created": time, "dataset": f"endpoint.events.{kind}", "module": "endpoint"},
        "host": {"id": IDS[1], "hostname": "ip-10-0-0-12", "name": "ip-10-0-0-12", "architecture": "x86_64", "ip": ["10.0.0.12", "fe80::1"],
                 "os": {"type": "linux", "name": "Linux", "family": "debian", "version": "12.5", "kernel": "6.1.0-18-amd64 #1 SMP"}},
        "process": {"entity_id": pick.choice(IDS), "pid": pick.randrange(99999), "name": name, "executable": f"/usr/bin/{name}", "args": arguments,
                    "args_count": len(arguments), "command_line": " ".join(arguments), "working_directory": "/home/user", "hash": {"sha256": digits(64)},
                    "parent": {"entity_id": pick.choice(IDS), "pid": pick.randrange(99999), "name": "bash", "executable": "/usr/bin/bash"}},
        "user": {"id": "1000", "name": "user"}, "group": {"id": "1000", "name": "user"},
    }
    if network:
        found |= {"source": {"ip": "10.0.0.12", "port": pick.randrange(65535)}, "network": {"transport": "tcp", "type": "ipv4"},
                  "destination": {"ip": pick.choice(["169.254.169.254", "10.0.0.2", "192.0.2.1"]), "port": 80}}
    return found


now = 1_763_000_000_000
for line in range(int(sys.argv[1])):
    now += pick.randrange(3)
    print(json.dumps(event(line, now), separators=(",", ":")))
