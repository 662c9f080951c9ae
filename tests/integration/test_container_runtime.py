"""What the container runtime says of a container, in events, entries and rules; and nothing where it does not say."""

from __future__ import annotations

import itertools
import sys
import threading

import pytest

from daemon import field, has, reasons
from lab import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "fakes"))
from docker import Docker, inspected  # noqa: E402

ROLE = "/latest/meta-data/iam/security-credentials/demo-role"
IMAGE = "registry.example.com/shop/web:1.2"
RULE = """\
id: not-web
name: another image asks
action: alert
query: web where container.id != null and not container.image.name == "registry.example.com/shop/web:1.2"
"""
numbers = itertools.count(1)
ids = (f"{number:064x}" for number in itertools.count(0xd0c4e7))


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    made = Docker(tmp_path_factory.mktemp("run") / "docker.sock")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(shared_gateway, docker):
    def before(lab) -> None:
        (lab.directory / "rule.yaml").write_text(RULE)
    return shared_gateway("enforce", before=before, containers={"runtime": docker.server_address}, rules=["rule.yaml"],
                          metrics={"address": "127.0.0.1", "port": 9880},
                          allow=[{"name": "web", "when": f'container.image.name == "{IMAGE}"', "imdsv1": "allow"}])


def ask(gateway, identifier: str) -> dict:
    """The event of a request for credentials by a container on the host's network."""
    path = f"{ROLE}?ask={next(numbers)}"
    gateway.lab.curl("http://169.254.169.254" + path, unit=f"docker-{identifier}.scope")
    return gateway.wait_event(has(event__kind="event", url__original=path))


def test_its_image_is_granted(gateway, docker):
    identifier = next(ids)
    docker.containers[identifier] = inspected(identifier, "shop-web", IMAGE)
    event = ask(gateway, identifier)
    assert {name: field(event, name) for name in ("container.id", "container.name", "container.image.name", "orchestrator")} == {
        "container.id": identifier, "container.name": "shop-web", "container.image.name": IMAGE, "orchestrator": None}
    assert reasons(event) == {"web"} and field(event, "http.response.status_code") == 200
    asked = len(docker.asked)
    assert reasons(ask(gateway, identifier)) == {"web"}
    assert len(docker.asked) == asked, "an answer is kept"


def test_another_image_is_not(gateway, docker):
    identifier = next(ids)
    docker.containers[identifier] = inspected(identifier, "shop-job", "registry.example.com/shop/job:1.2")
    event = ask(gateway, identifier)
    assert {"not-web", "class_default"} <= reasons(event) and field(event, "http.response.status_code") == 403


@pytest.mark.parametrize("name, pod", [("k8s_web_web-7d9f_shop_0af1-22_0", "web-7d9f"), ("web", None), ("k8s_web_other_shop_0af1-22_0", None)])
def test_a_pod_is_one_by_its_name_and_its_labels(gateway, docker, name, pod):
    identifier = next(ids)
    labels = {"io.kubernetes.pod.name": "web-7d9f", "io.kubernetes.pod.namespace": "shop"}
    docker.containers[identifier] = inspected(identifier, name, IMAGE, labels)
    event = ask(gateway, identifier)
    assert field(event, "orchestrator.resource.name") == pod
    assert field(event, "orchestrator.namespace") == (pod and "shop")


@pytest.mark.parametrize("answer", [None, b"", b"[]", b"{", inspected("e" * 64, "shop-web", IMAGE), inspected("", "", IMAGE), b" " * (2 << 20)],
                         ids=["unknown", "empty", "another-kind", "cut-off", "another-id", "no-name", "huge"])
def test_without_an_answer_nothing_is_known(gateway, docker, answer):
    """So an entry does not hold, and an exclusion excludes nothing."""
    identifier = next(ids)
    if answer is not None:
        docker.containers[identifier] = answer
    event = ask(gateway, identifier)
    assert field(event, "container.id") == identifier and field(event, "container.image.name") is None
    assert {"not-web", "class_default"} <= reasons(event) and field(event, "http.response.status_code") == 403


def test_who_is_slow_holds_up_nobody(gateway, docker):
    identifier, other = next(ids), next(ids)
    docker.held[identifier] = threading.Event()
    for each in (identifier, other):
        docker.containers[each] = inspected(each, "shop-web", IMAGE)
    assert field(ask(gateway, identifier), "container.image.name") is None
    assert reasons(ask(gateway, other)) == {"web"}
    docker.held[identifier].set()


def test_what_it_said_is_counted(gateway):
    _, text = gateway.lab.curl("http://127.0.0.1:9880/metrics")
    for result in ("answered", "unknown", "failed"):
        line = next(line for line in text.splitlines() if line.startswith(f'imdsgate_container_lookups_total{{result="{result}"}}'))
        assert float(line.split()[1]) > 0


def test_no_runtime_is_said_once(shared_gateway):
    gateway = shared_gateway("audit", containers={"runtime": "/run/there-is-none.sock"}, rules=[])
    for _ in range(2):
        assert field(ask(gateway, next(ids)), "container.image.name") is None
    assert gateway.errors.read_text().count("/run/there-is-none.sock: connect") == 1
