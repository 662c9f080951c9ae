"""EC2's protocol versions: counted, forbidden from a date on but for some programs, and no way around a denied token."""

from __future__ import annotations

import json
import shutil

import pytest

from daemon import field, has, reasons
from lab import CLIENTS

BOTO3 = CLIENTS / "boto3_credentials.py"
ROLE = "/latest/meta-data/iam/security-credentials/demo-role"
ID = "/latest/meta-data/instance-id"
NO_TOKENS = [{"name": "no-tokens", "when": 'user.id == "1001"', "methods": ["PUT"], "paths": ["/latest/api/token"]}]


@pytest.fixture(scope="module")
def open_house(shared_gateway):
    """In enforce, with nothing forbidden but tokens for 1001: what else is blocked is what is tested."""
    return shared_gateway("enforce", rules=[], classes={"credentials": "allow"}, ec2={"imdsv1": "allow"}, deny=NO_TOKENS,
                          metrics={"address": "127.0.0.1", "port": 9880})


@pytest.fixture
def agent(open_house, agent_binary):
    target = open_house.lab.programs / "agent"
    shutil.copy(agent_binary, target)
    target.chmod(0o755)
    return target


def reload(gateway, **changes) -> None:
    gateway.write(**changes)
    done = gateway.control("reload")
    assert done.returncode == 0, done.stderr


def test_an_sdk_that_is_denied_a_token_gets_nothing_without_one(open_house, agent):
    since = len(open_house.events())
    assert "no credentials" in open_house.lab.run("/usr/bin/python3", BOTO3, user=1001).stderr
    event = open_house.wait_event(lambda line: "imdsv1_after_denied_token" in reasons(line), skip=since)
    assert (field(event, "imdsgate.imds_version"), field(event, "http.response.status_code")) == ("v1", 403)
    # Its unit for a while, whoever asks; another unit of the same user is not concerned.
    assert open_house.lab.run(agent, "v4", ID, "--v1", user=1001).stdout.startswith("403")
    assert open_house.lab.run(agent, "v4", ID, "--v1", user=1001, cgroup="elsewhere").stdout.startswith("200")


def test_an_sdk_that_gets_its_token_is_served(open_house):
    done = open_house.lab.run("/usr/bin/python3", BOTO3, user=1002, cgroup="sdk")
    assert json.loads(done.stdout)["method"] == "iam-role", done.stderr


def test_from_a_date_on_but_for_some(open_house, agent):
    lab = open_house.lab
    other = shutil.copy(agent, lab.programs / "other")
    dated = {"default": "allow", "block_from": "2020-01-01T00:00:00Z", "except": [str(agent)]}
    reload(open_house, ec2={"imdsv1": dated})
    try:
        assert lab.run(agent, "v4", ROLE, "--v1", user=1002, cgroup="dated").stdout.startswith("200")
        assert lab.run(other, "v4", ROLE, "--v1", user=1002, cgroup="dated").stdout.startswith("403")
        assert lab.run(other, "v4", ROLE, user=1002, cgroup="dated").stdout.startswith("200")  # version 2
        reload(open_house, ec2={"imdsv1": {**dated, "block_from": "2100-01-01T00:00:00Z"}})
        assert lab.run(other, "v4", ROLE, "--v1", user=1002, cgroup="dated").stdout.startswith("200")
    finally:
        reload(open_house, ec2={"imdsv1": "allow"})


def test_every_request_is_counted_by_its_version(open_house, agent):
    def counted() -> dict[str, int]:
        lines = open_house.lab.run("curl", "-s", "http://127.0.0.1:9880/metrics").stdout.splitlines()
        return {line[len('imdsgate_imds_requests_total{version="'):][:2]: int(line.split()[1])
                for line in lines if line.startswith("imdsgate_imds_requests_total{")}

    before, since = counted(), len(open_house.events())
    open_house.lab.run(agent, "v4", ID, user=1002, cgroup="sdk")  # a token and a request with it
    open_house.lab.run(agent, "v4", ID, "--v1", user=1002, cgroup="sdk")
    open_house.wait_event(has(imdsgate__imds_version="v1"), skip=since)
    after = counted()
    assert (after["v1"] - before["v1"], after["v2"] - before["v2"]) == (1, 2)
