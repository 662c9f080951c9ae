"""The host's share of the metadata service: who takes much of it is told of, and may be held to a rate."""

from __future__ import annotations

from daemon import field, has, reasons
from raw import Reader, get

ID = "/latest/meta-data/instance-id"


def ask(gateway, times: int) -> list[int]:
    """On one connection, one after the other."""
    with gateway.lab.connect() as connection:
        reader, statuses = Reader(connection), []
        for _ in range(times):
            connection.sendall(get(ID))
            statuses.append(reader.answer().status)
            if statuses[-1] != 200:
                break
        return statuses


def test_one_process_takes_more_than_its_part(gateway):
    audit = gateway("audit", rules=[])
    since = len(audit.events())
    assert set(ask(audit, 400)) == {200}
    alert = audit.wait_event(has(event__kind="alert"), skip=since)
    assert (reasons(alert) - {"imdsv1"}, field(alert, "imdsgate.verdict")) == ({"quota_share"}, "alert")
    assert field(alert, "process.name").startswith("python3")
    assert set(ask(audit, 50)) == {200}
    audit.wait_event(lambda _: len([1 for line in audit.events() if field(line, "event.action") == "metadata_request"]) >= 450)
    assert len([line for line in audit.events() if field(line, "event.kind") == "alert"]) == 1  # once in a while


def test_a_rate_is_429_in_enforce_and_an_alert_in_audit(gateway):
    enforce = gateway("enforce", rules=[], limits={"requests_per_second": 10}, ec2={"imdsv1": "allow"})
    since = len(enforce.events())
    statuses = ask(enforce, 1000)
    assert statuses[-1] == 429 and set(statuses[:-1]) == {200} and len(statuses) > 10, statuses
    alert = enforce.wait_event(has(event__kind="alert"), skip=since)
    assert field(alert, "imdsgate.reason") == "limit_requests_per_second"
    done = enforce.lab.run("bash", "-c", f"for i in 1 2 3; do curl -s -o /dev/null -w '%{{http_code}} ' http://169.254.169.254{ID}; done", user=1001)
    assert done.stdout.split() == ["200"] * 3  # another process, and each curl is one
    enforce.write(mode="audit")
    assert enforce.control("reload").returncode == 0
    assert set(ask(enforce, 200)) == {200}
    audited = enforce.wait_event(has(event__kind="event", imdsgate__mode="audit", imdsgate__reason="limit_requests_per_second"), skip=since)
    assert (field(audited, "imdsgate.verdict"), field(audited, "imdsgate.action")) == ("block", "forward")
