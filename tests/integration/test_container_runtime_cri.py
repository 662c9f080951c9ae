"""What a runtime says of a container by the Container Runtime Interface, as containerd and CRI-O serve it."""

from __future__ import annotations

import itertools
import socket
import sys
import threading

import pytest

from daemon import field, has, reasons
from lab import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "fakes"))
from cri import Cri, status_of  # noqa: E402

ROLE = "/latest/meta-data/iam/security-credentials/demo-role"
IMAGE = "registry.example.com/shop/web:1.2"
numbers = itertools.count(1)
ids = (f"{number:064x}" for number in itertools.count(0xc0c4e7))


@pytest.fixture(scope="module")
def cri(tmp_path_factory):
    made = Cri(tmp_path_factory.mktemp("run") / "containerd.sock")
    yield made
    made.stop()


def start(shared_gateway, address: str):
    return shared_gateway("enforce", containers={"runtime": address, "runtime_api": "cri"}, rules=[],
                          allow=[{"name": "web", "when": f'container.image.name == "{IMAGE}" and orchestrator.namespace == "shop"', "imdsv1": "allow"}])


@pytest.fixture(scope="module")
def gateway(shared_gateway, cri):
    return start(shared_gateway, cri.address)


def ask(gateway, identifier: str) -> dict:
    """The event of a request for credentials by a container of a pod on the host's network."""
    path = f"{ROLE}?ask={next(numbers)}"
    gateway.lab.curl("http://169.254.169.254" + path, unit=f"cri-containerd-{identifier}.scope")
    return gateway.wait_event(has(event__kind="event", url__original=path))


def test_a_pods_image_is_granted(gateway, cri):
    identifier = next(ids)
    cri.containers[identifier] = status_of(identifier, "web", IMAGE, {"io.kubernetes.pod.name": "web-7d9f", "io.kubernetes.pod.namespace": "shop"})
    event = ask(gateway, identifier)
    names = ("container.id", "container.name", "container.image.name", "orchestrator.namespace", "orchestrator.resource.name")
    assert [field(event, name) for name in names] == [identifier, "web", IMAGE, "shop", "web-7d9f"]
    assert reasons(event) == {"web"} and field(event, "http.response.status_code") == 200
    assert reasons(ask(gateway, identifier)) == {"web"}
    assert cri.asked.count(identifier) == 1, "an answer is kept"


def test_another_namespaces_is_not(gateway, cri):
    identifier = next(ids)
    cri.containers[identifier] = status_of(identifier, "web", IMAGE, {"io.kubernetes.pod.name": "web-7d9f", "io.kubernetes.pod.namespace": "other"})
    event = ask(gateway, identifier)
    assert field(event, "orchestrator.namespace") == "other"
    assert "class_default" in reasons(event) and field(event, "http.response.status_code") == 403


@pytest.mark.parametrize("answer", [None, b"", b"\x0a\xff", b"x" * (2 << 20), status_of("e" * 64, "web", IMAGE), status_of("", "web", IMAGE)],
                         ids=["unknown", "empty", "cut-off", "huge", "another-id", "no-id"])
def test_without_an_answer_nothing_is_known(gateway, cri, answer):
    identifier = next(ids)
    if answer is not None:
        cri.containers[identifier] = answer
    event = ask(gateway, identifier)
    assert field(event, "container.id") == identifier and field(event, "container.image.name") is None
    assert "class_default" in reasons(event) and field(event, "http.response.status_code") == 403


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"\x00" * 64],
                         ids=["closes", "http1", "zeros"])
def test_whoever_does_not_speak_grpc_says_nothing(shared_gateway, tmp_path, answer):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as peer:
                peer.recv(4096)
                peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        gateway = start(shared_gateway, str(tmp_path / "other.sock"))
        event = ask(gateway, next(ids))
        assert field(event, "container.image.name") is None and field(event, "http.response.status_code") == 403
        assert "other.sock: " in gateway.errors.read_text()
