"""Whose credential is that? The event says, and `imdsgate who` finds it; what passes, passes unchanged."""

from __future__ import annotations

import json

import pytest

from daemon import BINARY, field, has
from lab import CLIENTS

BOTO3 = CLIENTS / "boto3_credentials.py"
ROLE = "/latest/meta-data/iam/security-credentials/demo-role"
KEY = "ASIAIOSFODNN7EXAMPLE"
GCE_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"
AZURE_TOKEN = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"


def credential(gateway, since: int, path: str) -> dict:
    event = gateway.wait_event(has(event__kind="event", url__path=path.partition("?")[0]), skip=since)
    return field(event, "imdsgate.credential")


@pytest.fixture(scope="module")
def ec2(shared_gateway):
    return shared_gateway("audit", rules=[])


def test_a_key_leads_to_the_process_that_took_it(ec2):
    lab = ec2.lab
    assert ec2.control("who", KEY).returncode != 0  # nobody has it yet
    done = lab.run("/usr/bin/python3", BOTO3, user=1001, cgroup="web.service")
    assert json.loads(done.stdout)["access_key"] == KEY, done.stderr
    ec2.wait_event(has(imdsgate__credential__access_key_id=KEY))
    found = ec2.control("who", KEY)
    assert found.returncode == 0, found.stderr
    line, = found.stdout.splitlines()
    assert "process=python3" in line and f"path={ROLE}" in line and "verdict=allow" in line and "user=1001" in line
    assert "executable=/usr/bin/python3" in line and "parent=" in line
    event, = map(json.loads, ec2.control("who", "--json", KEY).stdout.splitlines())
    assert field(event, "imdsgate.credential.type") == "AWS-HMAC"
    assert field(event, "imdsgate.credential.expiration").endswith("Z")
    assert ec2.control("who", "ASIAIOSFODNN7").returncode == 1  # a part of it is not it


def test_who_reads_the_files_it_is_given_and_the_rotated_ones(ec2, tmp_path):
    lab = ec2.lab
    lab.curl(f"http://169.254.169.254{ROLE}")
    ec2.wait_event(has(imdsgate__credential__access_key_id=KEY, process__name="curl"))
    copy = tmp_path / "old.ndjson"
    copy.write_text(ec2.events_path.read_text() + "no event, but it says ASIAIOSFODNN7EXAMPLE\n")
    found = lab.run(BINARY, "who", KEY, copy)
    assert found.returncode == 0 and "process=curl" in found.stdout
    assert found.stderr == f"imdsgate: {copy}: 1 line is no event and could not be searched\n"
    rotated = ec2.events_path.with_name("events.1.ndjson")
    rotated.write_text(copy.read_text().replace(KEY, "ASIAROTATEDEXAMPLE00"))
    try:
        assert ec2.control("who", "ASIAROTATEDEXAMPLE00").returncode == 0
    finally:
        rotated.unlink()
    missing = lab.run(BINARY, "who", KEY, tmp_path / "none.ndjson")
    assert missing.returncode == 1 and "none.ndjson" in missing.stderr


def test_who_says_what_it_could_not_read(ec2, tmp_path):
    """A line that was cut off may be the one; an empty key is in no event."""
    torn = tmp_path / "torn.ndjson"
    torn.write_text('{"@timestamp": "2026-11-24T12:00:00.000Z", "imdsgate": {"credential": {"access_k\n[1]\n\n{}\n')
    found = ec2.lab.run(BINARY, "who", KEY, torn)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == f"imdsgate: {torn}: 2 lines are no event and could not be searched\n"
    for nothing in (("", torn), ("", "--json", torn), ("",)):
        refused = ec2.lab.run(BINARY, "who", *nothing)
        assert (refused.returncode, refused.stdout) == (2, "") and "empty key" in refused.stderr, refused.stderr


def test_what_a_terminal_would_act_on_is_escaped(ec2, tmp_path):
    event = {"@timestamp": "\x1b[2J\u202e", "event": {"id": "1"}, "process": {"name": "a b\u202e\x1b[2J", "pid": 7},
             "imdsgate": {"credential": {"access_key_id": KEY}}}
    odd = tmp_path / "odd.ndjson"
    odd.write_text(json.dumps(event, ensure_ascii=False).replace(", ", ",\t") + "\r\n")
    found = ec2.lab.run(BINARY, "who", KEY, odd)
    assert found.stdout == '\\u001b[2J\\u202e  process="a b\\u202e\\u001b[2J"  pid=7\n'
    whole = ec2.lab.run(BINARY, "who", "--json", KEY, odd).stdout
    assert json.loads(whole) == event and whole.isascii() and whole.strip().isprintable()


def test_no_secret_goes_with_it(ec2):
    done = ec2.lab.run("/usr/bin/python3", BOTO3, user=1002)
    secret = json.loads(done.stdout)["secret_key"]
    ec2.wait_event(has(imdsgate__credential__access_key_id=KEY, user__id="1002"))
    assert secret not in ec2.events_path.read_text()


def test_an_error_is_no_credential(gateway):
    audit = gateway("audit", rules=[], service="--provider azure", provider="gce")
    since = len(audit.events())
    status, body = audit.lab.curl("-H", "Metadata: true", "http://169.254.169.254" + GCE_TOKEN)
    assert status == 400 and credential(audit, since, GCE_TOKEN) is None


def test_gce(gateway):
    audit = gateway("audit", rules=[], service="--provider gce", provider="gce")
    since = len(audit.events())
    status, body = audit.lab.curl("-H", "Metadata-Flavor: Google", "http://169.254.169.254" + GCE_TOKEN)
    assert status == 200
    found = credential(audit, since, GCE_TOKEN)
    assert (found["service_account"], found["type"]) == ("default", "Bearer")
    assert found["expiration"].endswith("Z") and "unreadable" not in found
    assert json.loads(body)["access_token"] not in audit.events_path.read_text()


def test_azure(gateway):
    audit = gateway("audit", rules=[], service="--provider azure", provider="azure")
    since = len(audit.events())
    status, body = audit.lab.curl("-H", "Metadata: true", "http://169.254.169.254" + AZURE_TOKEN)
    assert status == 200
    answer, found = json.loads(body), credential(audit, since, AZURE_TOKEN)
    assert (found["client_id"], found["resource"], found["type"]) == (answer["client_id"], answer["resource"], "Bearer")
    assert answer["access_token"] not in audit.events_path.read_text()
    assert audit.control("who", answer["client_id"]).returncode == 0
