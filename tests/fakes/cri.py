"""What the gateway asks of the Container Runtime Interface, over a UNIX socket, by gRPC's own server. The messages are those of
proxy/attribute/cri.proto, whose numbers are the interface's (kubernetes/cri-api, pkg/apis/runtime/v1/api.proto)."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

import grpc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proxy/attribute/cri.proto"


def _messages():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["protoc", "-I", PROTO.parent, f"--python_out={directory}", PROTO.name], check=True)
        sys.path.insert(0, directory)
        try:
            import cri_pb2
        finally:
            sys.path.remove(directory)
    return cri_pb2


MESSAGES = _messages()


def status_of(identifier: str, name: str, image: str, labels: dict | None = None):
    return MESSAGES.ContainerStatusResponse(status=MESSAGES.ContainerStatus(
        id=identifier, metadata=MESSAGES.ContainerMetadata(name=name), image=MESSAGES.ImageSpec(image=image), labels=labels or {}))


class Cri:
    def __init__(self, path) -> None:
        self.address = str(path)
        self.containers: dict[str, object] = {}  # by id: its status, or bytes that are sent as they are
        self.asked: list[str] = []
        method = grpc.unary_unary_rpc_method_handler(
            self._status, request_deserializer=MESSAGES.ContainerStatusRequest.FromString,
            response_serializer=lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString())
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("runtime.v1.RuntimeService", {"ContainerStatus": method}),))
        self.server.add_insecure_port(f"unix:{path}")
        self.server.start()
        os.chmod(path, 0o600)

    def _status(self, request, context):
        self.asked.append(request.container_id)
        if request.container_id not in self.containers:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no container {request.container_id}")
        return self.containers[request.container_id]

    def stop(self) -> None:
        self.server.stop(None).wait()
