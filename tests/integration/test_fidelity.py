"""In audit nothing changes: each answer, and each request as the service received it, is what it is without the gateway."""

from __future__ import annotations

import re

import pytest

import corpus
from raw import Answer, Reader, exchange, get

VARYING = {"date", "etag", "x-aws-ec2-metadata-token-ttl-seconds"}
SUITES = {
    "ec2": corpus.recorded("ec2") + corpus.EC2 + corpus.FAULTS,
    "gce": corpus.recorded("gce") + corpus.GCE,
    "azure": corpus.recorded("azure") + corpus.AZURE_CASES,
}
OPTIONS = {"ec2": "", "gce": "--provider gce", "azure": "--provider azure --port 32526"}


def normal(answer: Answer | None) -> dict | None:
    if answer is None:
        return None
    body = re.sub(rb"AQAEA[\w-]{49}==", b"{TOKEN}", answer.body)
    body = re.sub(rb"(?<=\"DocumentIncarnation\":)\d+", b"N", body)
    headers = [(name, "*" if name.lower() in VARYING else value) for name, value in answer.headers]
    return {"line": answer.line, "headers": headers, "body": body, "trailers": answer.trailers, "interim": answer.interim,
            "complete": answer.complete}


def converse(lab, case: corpus.Case, token: str, direct: bool) -> list[dict | None]:
    answers: list[dict | None] = []
    with lab.connect(case.address, case.port, cloud=direct) as connection:
        reader = Reader(connection)
        methods = iter(case.methods)
        for message in case.messages:
            connection.sendall(message.replace(b"{TOKEN}", token.encode()))
            if case.body:
                first = reader.interim()
                if first is None or first.status != 100:
                    answers.append(normal(first))
                    continue
                connection.sendall(case.body)
            for _ in range(len(case.methods) if case.pipelined else 1):
                answers.append(normal(reader.answer(next(methods))))
    return answers


def requests(lab, since: int) -> list[dict]:
    names = ("method", "target", "version", "headers", "body")
    return [{name: line[name] for name in names} for line in lab.received()[since:] if line["ev"] == "request"]


@pytest.fixture(scope="module")
def provided(shared_gateway):
    """The running gateway of one provider and a session token that its service knows."""
    running: dict[str, tuple] = {}

    def of(provider: str):
        if provider not in running:
            gateway = shared_gateway("audit", service=OPTIONS[provider], provider=provider)
            token = ""
            if provider == "ec2":
                with gateway.lab.connect(cloud=True) as connection:
                    token = exchange(connection, get("/latest/api/token", f"{corpus.TTL}: 21600", method="PUT")).body.decode()
            running[provider] = (gateway, token)
        return running[provider]
    return of


@pytest.mark.parametrize("provider,case", [(provider, case) for provider, cases in SUITES.items() for case in cases],
                         ids=lambda value: value if isinstance(value, str) else value.name)
def test_same_with_and_without(provided, provider, case):
    gateway, token = provided(provider)
    lab = gateway.lab
    start = len(lab.received())
    direct = converse(lab, case, token, direct=True)
    sent = requests(lab, start)
    start = len(lab.received())
    through = converse(lab, case, token, direct=False)
    assert through == direct
    assert requests(lab, start) == sent


def test_the_gateway_was_in_between(provided):
    """The comparison above means something: the gateway saw and reported the requests."""
    gateway, _ = provided("ec2")
    with gateway.lab.connect() as connection:
        assert exchange(connection, get("/latest/meta-data/instance-id?seen")).status == 200
    event = gateway.wait_event(lambda line: line.get("url", {}).get("original", "").endswith("?seen"))
    assert event["http"]["response"]["status_code"] == 200
