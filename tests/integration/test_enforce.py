"""In enforce nothing unproven gets credentials, and who has a grant does."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest

from daemon import field, has, reasons
from raw import Reader, get

ROLE = "/latest/meta-data/iam/security-credentials/demo-role"
TTL = "X-aws-ec2-metadata-token-ttl-seconds: 60"


def install(binary: pathlib.Path, target: pathlib.Path, uid: int = 0) -> pathlib.Path:
    shutil.copy(binary, target)
    target.chmod(0o755)
    shutil.chown(target, uid, uid)
    return target


@pytest.fixture(scope="module")
def enforce(shared_gateway):
    def allow(lab):
        name.append(lab.name)

    name: list[str] = []
    gateway = shared_gateway("enforce", before=allow)
    path = f"/opt/imdsgate-lab/{name[0]}/agent"
    gateway.write(allow=[{"name": "agent", "when": f'process.executable == "{path}" and user.id == "1002"', "methods": ["GET", "PUT"],
                          "paths": ["/latest/api/token", "/latest/meta-data/iam/security-credentials/*"]}])
    done = gateway.control("reload")
    assert done.returncode == 0, done.stderr
    return gateway


@pytest.fixture
def home(enforce):
    path = enforce.lab.home / "1001"
    enforce.lab.run("true", user=1001)  # makes it
    return path


def test_a_curl_that_the_rule_names(enforce):
    since = len(enforce.events())
    done = enforce.lab.run("curl", "-si", f"http://169.254.169.254{ROLE}", user=1001)
    head, _, body = done.stdout.partition("\n\n")
    headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
    assert head.startswith("HTTP/1.1 403 ")
    assert headers["connection"] == "close"
    assert headers["server"] == "imdsgate"
    assert headers["content-type"] == "application/json"
    alert = enforce.wait_event(has(event__kind="alert", process__name="curl"), skip=since)
    reply = json.loads(body)
    assert reply["alert"] == field(alert, "event.id")
    assert reply["reason"] in reasons(alert)
    assert field(alert, "rule.id") == "unusual-imds-request"
    assert (field(alert, "imdsgate.verdict"), field(alert, "imdsgate.action")) == ("block", "block")
    assert field(alert, "http.response.status_code") == 403


def test_the_service_never_sees_what_is_blocked(enforce):
    before = len([line for line in enforce.lab.received() if line["ev"] == "request"])
    assert enforce.lab.curl(f"http://169.254.169.254{ROLE}?blocked")[0] == 403
    assert not [line for line in enforce.lab.received() if "?blocked" in line.get("target", "")]
    assert len([line for line in enforce.lab.received() if line["ev"] == "request"]) == before


def test_a_renamed_curl_in_a_home_directory(enforce, home):
    tool = install(pathlib.Path("/usr/bin/curl"), home / "report", 1001)
    since = len(enforce.events())
    config = home / "request"
    config.write_text(f'url = "http://169.254.169.254{ROLE}"\n')  # so that no argument names the address
    done = enforce.lab.run(tool, "-s", "-w", "%{http_code}", "-K", config, user=1001)
    assert done.stdout.endswith("403"), done.stdout
    event = enforce.wait_event(has(event__kind="alert"), skip=since)
    assert {"class_default", "imdsv1"} & reasons(event)
    assert field(event, "process.executable") == str(tool)


@pytest.mark.parametrize("path", [ROLE + "/", "//latest//meta-data/iam/security-credentials/demo-role", "/2021-03-23/meta-data/iam/security-credentials/demo-role",
                                  "/LATEST/meta-data/IAM/security-credentials/demo-role", ROLE + "/deeper", "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
                                  "/latest/dynamic/instance-identity/pkcs7", "/latest/dynamic/instance-identity/signature"])
def test_every_way_to_the_credentials_needs_a_grant(enforce, home, agent_binary, path):
    tool = install(agent_binary, home / "own-agent", 1001)
    assert enforce.lab.run(tool, "v4", path, user=1001).stdout.startswith("403")


@pytest.mark.parametrize("path", ["/latest/meta-data/iam%2fsecurity-credentials/demo-role", "/latest/user-data/../meta-data/iam/security-credentials/demo-role",
                                  "/latest/meta-data/iam/./security-credentials/demo-role", "/latest/meta-data;x/iam", "/latest\\meta-data"])
def test_a_path_with_two_readings_has_none(enforce, home, agent_binary, path):
    tool = install(agent_binary, home / "own-agent", 1001)
    since = len(enforce.events())
    assert enforce.lab.run(tool, "v4", path, user=1001).stdout.startswith("400")
    assert "ambiguous_target" in reasons(enforce.wait_event(has(http__response__status_code=400), skip=since))


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_the_agent_with_a_grant(enforce, agent_binary, family):
    agent = install(agent_binary, enforce.lab.programs / "agent")
    since = len(enforce.events())
    done = enforce.lab.run(agent, family, ROLE, user=1002)
    assert done.stdout.startswith("200\n{") and done.returncode == 0, done.stdout
    event = enforce.wait_event(has(url__path=ROLE), skip=since)
    assert field(event, "imdsgate.grant") == "agent"
    assert field(event, "imdsgate.verdict") == "allow"


def test_the_grant_is_for_nothing_else(enforce, agent_binary):
    agent = install(agent_binary, enforce.lab.programs / "agent")
    other = install(agent_binary, enforce.lab.programs / "other")
    assert enforce.lab.run(agent, "v4", ROLE, user=1001).stdout.startswith("403")  # another user
    assert enforce.lab.run(agent, "v4", "/latest/dynamic/instance-identity/pkcs7", user=1002).stdout.startswith("403")  # another path
    assert enforce.lab.run(other, "v4", ROLE, user=1002).stdout.startswith("403")  # another program
    assert enforce.lab.run(agent, "v4", ROLE, "--v1", user=1002).stdout.startswith("403")  # IMDSv1
    assert enforce.lab.run("bash", "-c", f"exec -a {agent} /usr/bin/curl -s -o /dev/null -w '%{{http_code}}' http://169.254.169.254{ROLE}",
                           user=1002).stdout == "403"  # only its name


def test_a_bind_mount_does_not_lend_a_path(enforce, home, agent_binary):
    """In his own mount namespace a user puts his program where the agent is (facts §1)."""
    agent = install(agent_binary, enforce.lab.programs / "agent")
    tool = install(agent_binary, home / "own-agent", 1002)
    script = f"mount --bind {tool} {agent} && exec setpriv --reuid 1002 --regid 1002 --clear-groups -- {agent} v4 {ROLE}"
    done = enforce.lab.run("unshare", "-m", "sh", "-c", script)
    assert done.stdout.startswith("403"), done.stdout + done.stderr


def test_general_paths_are_served(enforce, home, agent_binary):
    tool = install(agent_binary, home / "own-agent", 1001)
    assert enforce.lab.run(tool, "v4", "/latest/meta-data/instance-id", user=1001).stdout.startswith("200")


def test_nothing_after_a_block_on_the_same_connection(enforce):
    with enforce.lab.connect() as connection:
        connection.sendall(get(ROLE) + get("/latest/meta-data/instance-id"))
        reader = Reader(connection)
        assert reader.answer().status == 403
        assert reader.ended()


def test_the_fence_holds_what_is_not_redirected(enforce):
    """A foreign NOTRACK rule lets a connection past the NAT; then the fence rejects it."""
    lab = enforce.lab
    rule = ["OUTPUT", "-d", "169.254.169.254", "-p", "tcp", "--dport", "80", "-m", "owner", "--uid-owner", "1005", "-j", "NOTRACK"]
    assert lab.run("iptables", "-t", "raw", "-A", *rule).returncode == 0
    try:
        opened = len([line for line in lab.received() if line["ev"] == "open"])
        assert lab.curl("--max-time", "3", "http://169.254.169.254/latest/meta-data/mac", user=1005)[0] == 0
        assert len([line for line in lab.received() if line["ev"] == "open"]) == opened
    finally:
        lab.run("iptables", "-t", "raw", "-D", *rule)
