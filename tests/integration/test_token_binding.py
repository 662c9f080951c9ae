"""A session token belongs to whom it was given to: the shell's one-liner stays clean, another unit's use of it does not."""

from __future__ import annotations

import shutil

import pytest

from daemon import field, has, reasons

ID = "/latest/meta-data/instance-id"
PUT = "-s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
ONE_LINER = f'TOKEN=$(curl {PUT}); curl -s -H "X-aws-ec2-metadata-token: $TOKEN" http://169.254.169.254{ID}'


def of_token(gateway, use: str, since: int) -> dict:
    return gateway.wait_event(has(imdsgate__token__use=use), skip=since)


def mint(gateway, cgroup: str, user: int = 1001) -> str:
    token = gateway.lab.run("bash", "-c", f"curl {PUT}", user=user, cgroup=cgroup).stdout
    assert token.startswith("AQAEA"), token
    return token


def use(gateway, token: str, cgroup: str, user: int = 1001) -> int:
    return gateway.lab.curl("-H", f"X-aws-ec2-metadata-token: {token}", f"http://169.254.169.254{ID}", user=user, cgroup=cgroup)[0]


@pytest.fixture(scope="module")
def bound(shared_gateway):
    return shared_gateway("enforce", rules=[], ec2={"token_binding": "block"})


def configure(gateway, mode: str, **ec2) -> None:
    gateway.write(mode=mode, ec2=ec2)
    done = gateway.control("reload")
    assert done.returncode == 0, done.stderr


def test_the_documented_one_liner_stays_clean(bound):
    since = len(bound.events())
    done = bound.lab.run("bash", "-c", ONE_LINER, user=1001, cgroup="session-1.scope")
    assert done.stdout == "i-0123456789abcdef0", done.stderr
    event = of_token(bound, "own", since)
    assert field(event, "imdsgate.verdict") == "allow"
    assert not [line for line in bound.events()[since:] if field(line, "event.kind") == "alert"]


def test_another_unit_is_blocked_and_the_alert_says_whose_it_was(bound):
    token = mint(bound, "web.service", user=1002)
    assert use(bound, token, "web.service", user=1002) == 200
    since = len(bound.events())
    assert use(bound, token, "session-2.scope") == 403
    alert = bound.wait_event(has(event__kind="alert"), skip=since)
    assert reasons(alert) == {"token_foreign"}
    assert field(alert, "imdsgate.token.use") == "foreign"
    assert field(alert, "imdsgate.token.minted_by.user.id") == "1002"
    assert field(alert, "imdsgate.token.minted_by.executable") == "/usr/bin/curl"
    assert field(alert, "imdsgate.token.minted_by.cgroup").endswith("/web.service")
    assert token not in bound.events_path.read_text()


def test_audit_forwards_it_and_alerts(bound):
    configure(bound, "audit", token_binding="alert")
    try:
        token = mint(bound, "web.service")
        since = len(bound.events())
        assert use(bound, token, "db.service") == 200
        alert = bound.wait_event(has(event__kind="alert"), skip=since)
        assert (reasons(alert), field(alert, "imdsgate.verdict")) == ({"token_foreign"}, "alert")
    finally:
        configure(bound, "enforce", token_binding="block")


def test_who_shares_may(bound):
    """By executable, which is proven; a lab's cgroups are no units of systemd's."""
    lab = bound.lab
    copy = shutil.copy("/usr/bin/curl", lab.programs / "fetch")
    token = mint(bound, "web.service")

    def fetch() -> str:
        return lab.run(copy, "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"X-aws-ec2-metadata-token: {token}",
                       f"http://169.254.169.254{ID}", user=1001, cgroup="db.service").stdout

    assert fetch() == "403"
    configure(bound, "enforce", token_binding="block", share=[["/usr/bin/curl", str(copy)]])
    try:
        since = len(bound.events())
        assert fetch() == "200"
        assert field(of_token(bound, "shared", since), "imdsgate.token.minted_by.executable") == "/usr/bin/curl"
        other = shutil.copy("/usr/bin/curl", lab.programs / "other")
        assert lab.run(other, "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"X-aws-ec2-metadata-token: {token}",
                       f"http://169.254.169.254{ID}", user=1001, cgroup="db.service").stdout == "403"
    finally:
        configure(bound, "enforce", token_binding="block")


def test_a_process_of_its_own_is_the_strictest_scope(bound):
    configure(bound, "enforce", token_binding="block", scope="process")
    try:
        assert use(bound, mint(bound, "web.service"), "web.service") == 403
    finally:
        configure(bound, "enforce", token_binding="block")


def test_a_token_of_before_the_start_is_unknown(gateway):
    """Minted past the gateway, as before it ran: used, and told; nobody knows that it is another's."""
    def before(lab):
        done = lab.run("bash", "-c", f"curl {PUT}", user=1001, cgroup="web.service")
        tokens.append(done.stdout)

    tokens: list[str] = []
    started = gateway("enforce", before=before, rules=[], ec2={"token_binding": "block"})
    assert tokens[0].startswith("AQAEA")
    since = len(started.events())
    assert use(started, tokens[0], "db.service") == 200
    alert = started.wait_event(has(event__kind="alert", imdsgate__token__use="unknown"), skip=since)
    assert reasons(alert) == {"token_unknown"}
    assert (field(alert, "imdsgate.verdict"), field(alert, "imdsgate.imds_version")) == ("alert", "v2")
