"""The two questions of the Docker Engine API that the gateway asks, over a UNIX socket, with answers in its documented shape
(docs.docker.com/reference/api/engine: "Ping", "Inspect a container")."""

from __future__ import annotations

import http.server
import json
import os
import re
import socketserver
import threading

VERSION = "1.43"


def inspected(identifier: str, name: str, image: str, labels: dict | None = None) -> dict:
    """What matters of it and some of what stands beside it."""
    return {"Id": identifier, "Created": "2026-11-01T10:00:00.0Z", "Path": "/app", "Args": [], "State": {"Status": "running", "Running": True, "Pid": 4711},
            "Image": "sha256:" + "5" * 64, "Name": "/" + name, "RestartCount": 0, "Driver": "overlay2", "Mounts": [],
            "Config": {"Hostname": identifier[:12], "Env": ["PATH=/usr/bin"], "Cmd": ["/app"], "Image": image, "Labels": labels or {}},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}}


class Docker(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path) -> None:
        self.containers: dict[str, dict | bytes] = {}  # by id; bytes are sent as they are
        self.held: dict[str, threading.Event] = {}  # answered when it is set
        self.asked: list[str] = []
        super().__init__(str(path), Handler)
        os.chmod(path, 0o600)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        for event in self.held.values():
            event.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        docker: Docker = self.server
        docker.asked.append(self.path)
        if self.path == "/_ping":
            return self.reply(200, b"OK", "text/plain")
        match = re.fullmatch(rf"/v{re.escape(VERSION)}/containers/([0-9a-f]{{64}})/json", self.path)
        if not match:
            return self.reply(400, b'{"message":"client version is too old"}')
        identifier = match[1]
        if event := docker.held.get(identifier):
            event.wait(30)
        found = docker.containers.get(identifier)
        if found is None:
            return self.reply(404, json.dumps({"message": "No such container: " + identifier}).encode())
        return self.reply(200, found if isinstance(found, bytes) else json.dumps(found).encode())

    def reply(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        for name, value in (("Api-Version", VERSION), ("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *arguments) -> None:
        pass
