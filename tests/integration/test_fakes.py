"""The service and the lab themselves, with real clients and without the gateway: what everything else rests on."""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest

from lab import CLIENTS, ENVIRONMENT, SCRIPT, V4, V6
from raw import Reader, exchange, get

TTL = "X-aws-ec2-metadata-token-ttl-seconds"


@pytest.fixture
def ec2(lab):
    lab.serve("--v2-required")
    return lab


def token(lab, ttl: str = "60") -> str:
    with lab.connect() as connection:
        return exchange(connection, get("/latest/api/token", f"{TTL}: {ttl}", method="PUT")).body.decode()


@pytest.mark.parametrize("message,status", [
    (get("/latest/api/token", f"{TTL}: 1", method="PUT"), 200),
    (get("/latest/api/token", f"{TTL}: 21600", method="PUT"), 200),
    (get("/latest/api/token", f"{TTL}: 0", method="PUT"), 400),
    (get("/latest/api/token", f"{TTL}: 21601", method="PUT"), 400),
    (get("/latest/api/token", f"{TTL}: -1", method="PUT"), 400),
    (get("/latest/api/token", method="PUT"), 400),
    (get("/latest/api/token"), 405),
    (get("/latest/api/token/", f"{TTL}: 60", method="PUT"), 403),
    (get("/latest/api/token", f"{TTL}: 60", "X-Forwarded-For: 10.0.0.1", method="PUT"), 403),
    (get("/latest/api/token", f"{TTL}: 60", "Expect: 100-continue", method="PUT"), 417),
    (get("/latest/meta-data/"), 401),
    (get("/latest/meta-data/", "X-aws-ec2-metadata-token: no"), 401),
    (b"not http\r\n\r\n", 400),
], ids=str)
def test_ec2_errors(ec2, message, status):
    with ec2.connect() as connection:
        answer = exchange(connection, message)
    assert answer.status == status
    assert answer.header("server") == "EC2ws"
    if status == 405:
        assert answer.header("allow") == "OPTIONS, PUT"


def test_ec2_token_expires(ec2):
    short = token(ec2, "2")
    with ec2.connect() as connection:
        reader = Reader(connection)
        statuses = []
        while not statuses or statuses[-1] == 200:  # ends by itself within the two seconds that the token lives
            connection.sendall(get("/latest/meta-data/mac", f"X-aws-ec2-metadata-token: {short}"))
            statuses.append(reader.answer().status)
    assert statuses[0] == 200 and statuses[-1] == 401


def test_ec2_clients(ec2, cloud_init):
    boto3 = ec2.run("/usr/bin/python3", CLIENTS / "boto3_credentials.py", user=1001)
    assert json.loads(boto3.stdout)["access_key"] == "ASIAIOSFODNN7EXAMPLE", boto3.stderr
    aws = ec2.run("/usr/bin/aws", "configure", "list", user=1001)
    assert "iam-role" in aws.stdout and "eu-central-1" in aws.stdout, aws.stderr
    found = ec2.run("/usr/bin/python3", CLIENTS / "cloud_init_ec2.py", cloud_init)
    assert json.loads(found.stdout)["region"] == "eu-central-1", found.stderr


def test_both_families_and_a_bound_interface(ec2):
    for address in (V4, f"[{V6}]"):
        for options in ([], ["--interface", "eth0"]):
            assert ec2.curl(*options, f"http://{address}/latest/meta-data/mac")[0] == 401


def test_the_log_holds_what_came(ec2):
    with ec2.connect() as connection:
        exchange(connection, get("/latest/meta-data/", "x-ODD:1", "X-Two:  a b ", "x-odd: 2"))
    line = ec2.wait_received(lambda line: line["ev"] == "request")
    assert line["lines"] == ["Host: 169.254.169.254", "x-ODD:1", "X-Two:  a b ", "x-odd: 2"]
    assert line["headers"][1:] == [["x-ODD", "1"], ["X-Two", "a b"], ["x-odd", "2"]]
    ec2.wait_received(lambda line: line["ev"] == "close" and line["conn"] == 1)


def test_gce_holds_sixty_four_polls_until_a_change(lab):
    lab.serve("--provider", "gce")
    path = "/computeMetadata/v1/instance/virtual-clock/drift-token?wait_for_change=true"
    connections = [lab.connect() for _ in range(64)]
    for connection in connections:
        connection.sendall(get(path, "Metadata-Flavor: Google"))
    waiting = set()
    lab.wait_received(lambda line: line["ev"] == "request" and not waiting.add(line["conn"]) and len(waiting) == 64)
    with lab.connect() as other:
        assert exchange(other, get("/fault/change")).status == 200
    assert {Reader(connection).answer().body for connection in connections} == {b"1"}
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("name,complete", [("reset", False), ("short", False), ("chunked", True), ("slow?bytes=3", True), ("http10", True)])
def test_faults_that_answer(ec2, name, complete):
    with ec2.connect() as connection:
        connection.sendall(get(f"/fault/{name}"))
        try:
            assert Reader(connection).answer().complete == complete
        except ConnectionResetError:
            assert name == "reset"


@pytest.mark.parametrize("name", ["close", "garbage"])
def test_faults_that_do_not(ec2, name):
    with ec2.connect() as connection:
        connection.sendall(get(f"/fault/{name}"))
        assert not connection.makefile("rb").read().startswith(b"HTTP/")


def test_a_lab_leaves_nothing_behind(lab):
    lab.serve()
    survivor = subprocess.Popen(lab.command(["sh", "-c", "echo inside; exec setsid sleep 600"]), env=ENVIRONMENT, stdout=subprocess.PIPE)
    assert survivor.stdout.readline() == b"inside\n"
    lab.down()
    assert survivor.wait(60) == -9
    left = [str(path) for root in ("/run/netns", "/run/imdsgate-lab", "/var/lib/imdsgate-lab", "/opt/imdsgate-lab", "/sys/fs/cgroup")
            for depth in ("*", "*/*") for path in pathlib.Path(root).glob(depth) if lab.name in path.name]
    assert left == []


def test_run_ends_with_its_command_and_removes_its_lab():
    done = subprocess.run([SCRIPT, "run", "--", "sh", "-c", f"curl -s http://{V4}/latest/meta-data/mac; echo; echo $LAB; exit 7"],
                          capture_output=True, text=True, env=ENVIRONMENT, timeout=180)
    assert done.returncode == 7, done.stderr
    mac, name = done.stdout.split()
    assert mac == "0a:ff:d5:00:00:2a"
    assert not pathlib.Path("/run/netns", name).exists()
