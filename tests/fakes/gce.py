"""The GCE metadata server: the flavor header, recursive and JSON answers, wait_for_change, guest attributes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time

from http1 import Request, Response, date

ACCOUNT = "123456789012-compute@developer.gserviceaccount.com"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
FLAVOR = ("Metadata-Flavor", "Google")
HTML = """<!DOCTYPE html>
<html lang=en>
  <meta charset=utf-8>
  <title>Error {status} ({text})!!1</title>
  <p><b>{status}.</b> <ins>That's an error.</ins>
  <p>{detail} <ins>That's all we know.</ins>
"""
TEXTS = {301: "Moved Permanently", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}


def _jwt(audience: str, now: float) -> str:
    def part(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    claims = {"aud": audience, "azp": "108000000000000000000", "exp": int(now) + 3600, "iat": int(now),
              "iss": "https://accounts.google.com", "sub": "108000000000000000000"}
    signature = base64.urlsafe_b64encode(hashlib.sha512(audience.encode()).digest() * 4).decode().rstrip("=")
    return ".".join((part({"alg": "RS256", "kid": "example", "typ": "JWT"}), part(claims), signature))


PROFILE = {"name": "108000000000000000001", "posixAccounts": [
    {"primary": True, "username": "demo_example_com", "uid": "1500", "gid": "1500", "homeDirectory": "/home/demo_example_com",
     "shell": "/bin/bash", "operatingSystemType": "LINUX"}],
    "sshPublicKeys": {"0a1b": {"key": "ssh-rsa AAAAB3NzaC1yc2EAAAADEXAMPLE demo", "fingerprint": "0a1b"}}}


def tree() -> dict:
    account = {"aliases": ["default"], "email": ACCOUNT, "identity": None, "scopes": SCOPES, "token": None}
    return {
        "instance": {
            "attributes": {"enable-guest-attributes": "TRUE", "startup-script": "#!/bin/sh\necho hello\n"},
            "cpuPlatform": "Intel Broadwell", "description": "", "disks": {"0": {"deviceName": "demo", "index": 0, "mode": "READ_WRITE"}},
            "guestAttributes": {}, "hostname": "demo.c.demo-project.internal", "id": 5123456789012345678,
            "image": "projects/debian-cloud/global/images/debian-12", "machineType": "projects/123456789012/machineTypes/e2-small",
            "maintenanceEvent": "NONE", "name": "demo",
            "networkInterfaces": {"0": {"ip": "10.66.0.2", "mac": "42:01:0a:42:00:02", "network": "projects/123456789012/networks/default"}},
            "preempted": "FALSE", "serviceAccounts": {"default": account, ACCOUNT: account}, "tags": ["demo"],
            "virtualClock": {"driftToken": "0"}, "zone": "projects/123456789012/zones/europe-west3-a",
        },
        "oslogin": {"authenticate": {"sessions": {}}},
        "project": {"attributes": {"ssh-keys": "demo:ssh-rsa AAAAB3NzaC1yc2EAAAADEXAMPLE demo"},
                    "numericProjectId": 123456789012, "projectId": "demo-project"},
    }


def _kebab(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name) if "@" not in name else name


class Service:
    server = "Metadata Server for VM"

    def __init__(self) -> None:
        self.start = time.time()
        self.root = tree()
        self.generation = 0
        self.changed_ = asyncio.Event()

    def refuses_expectation(self) -> bool:
        return False

    def change(self) -> None:
        """Something changed: every wait_for_change is answered."""
        self.generation += 1
        self.root["instance"]["virtualClock"]["driftToken"] = str(self.generation)
        self.changed_.set()
        self.changed_ = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        segments = [part for part in request.path.split("/") if part]
        if not segments:
            return self._reply(200, b"0.1/\ncomputeMetadata/\n", "application/text")
        if request.header("x-forwarded-for") is not None:
            return self._error(403, "Request contains a forwarding header.")
        if (request.header("metadata-flavor") or "").lower() != "google" and segments[:2] != ["0.1", "meta-data"] \
                and segments[:2] != ["computeMetadata", "v1beta1"]:
            return self._error(403, "Your client does not have permission to get URL <code>"
                               f"{request.path}</code> from this server. Missing Metadata-Flavor:Google header.")
        if segments == ["computeMetadata"]:
            return self._reply(200, b"v1/\n", "application/text")
        if segments[:2] not in (["computeMetadata", "v1"], ["computeMetadata", "v1beta1"], ["0.1", "meta-data"]):
            return self._error(404, "The requested URL was not found on this server.")
        if request.method == "PUT":
            return self._put(request, segments[2:])
        if request.method not in ("GET", "HEAD"):
            return self._error(405, "The request method is inappropriate for the URL.")
        return await self._get(request, segments[2:])

    def _put(self, request: Request, path: list[str]) -> Response:
        if path[:2] != ["instance", "guest-attributes"] or len(path) != 4:
            return self._error(403, "Only guest attributes can be written.")
        if len(request.body) > 256 * 1024:
            return self._error(400, "The value is too long.")
        self.root["instance"]["guestAttributes"].setdefault(path[2], {})[path[3]] = request.body.decode("latin-1")
        return self._reply(200, b"", "application/text")

    async def _get(self, request: Request, path: list[str]) -> Response:
        query = request.query
        if query.get("wait_for_change") == "true":
            last = query.get("last_etag")
            try:
                seconds = float(query["timeout_sec"]) if "timeout_sec" in query else None
            except ValueError:
                return self._error(400, "timeout_sec is not a number.")
            if last is None or last in (self._etag(), "0"):
                try:
                    await asyncio.wait_for(self.changed_.wait(), seconds)
                except asyncio.TimeoutError:
                    pass
        if len(path) >= 4 and path[:2] == ["instance", "service-accounts"] and path[2] in self.root["instance"]["serviceAccounts"]:
            if path[3] == "token":
                token = {"access_token": "ya29.c.EXAMPLE" + "x" * 120, "expires_in": 3599, "token_type": "Bearer"}
                return self._reply(200, json.dumps(token, separators=(",", ":")).encode(), "application/json")
            if path[3] == "identity":
                if not query.get("audience"):
                    return self._error(400, "non-empty audience parameter required")
                return self._reply(200, _jwt(query["audience"], self.start).encode(), "text/html")
        if path == ["oslogin", "users"]:
            return self._login(query.get("username") == PROFILE["posixAccounts"][0]["username"], {"loginProfiles": [PROFILE]})
        if path == ["oslogin", "authorize"]:
            return self._login(query.get("email") == PROFILE["name"], {"success": True})
        node = self.root
        for segment in path:
            children = {_kebab(name): child for name, child in node.items()} if isinstance(node, dict) else {}
            if segment not in children:
                return self._error(404, "The requested URL was not found on this server.")
            node = children[segment]
        return self._render(request, node, query)

    def _login(self, found: bool, body: dict) -> Response:
        """OS Login's answers (guest-oslogin, src/oslogin_utils.cc parses them): its one user, or nobody."""
        if not found:
            return self._error(404, "The requested URL was not found on this server.")
        return self._reply(200, json.dumps(body, separators=(",", ":")).encode(), "application/json")

    def _render(self, request: Request, node: object, query: dict[str, str]) -> Response:
        recursive = query.get("recursive", "").lower() == "true"
        if isinstance(node, dict) and not request.path.endswith("/") and not recursive:
            return self._error(301, "The document has moved.", [("Location", request.path + "/")])
        if recursive and query.get("alt") != "text" or query.get("alt") == "json":
            return self._reply(200, json.dumps(self._visible(node), separators=(",", ":")).encode(), "application/json")
        if isinstance(node, dict):
            lines = [_kebab(name) + ("/" if isinstance(child, dict) else "") for name, child in node.items()]
            return self._reply(200, "".join(f"{line}\n" for line in lines).encode(), "application/text")
        text = "\n".join(node) + "\n" if isinstance(node, list) else str(node)
        return self._reply(200, text.encode("latin-1"), "application/text")

    def _visible(self, node: object) -> object:
        if not isinstance(node, dict):
            return node
        return {name: self._visible(child) for name, child in node.items() if name not in ("token", "identity", "guestAttributes")}

    def _etag(self) -> str:
        return hashlib.sha256(f"{self.start}{self.generation}".encode()).hexdigest()[:16]

    def _reply(self, status: int, body: bytes, kind: str, extra: list[tuple[str, str]] = []) -> Response:
        return Response(status, [*extra, FLAVOR, ("Content-Type", kind), ("ETag", self._etag()), ("Date", date()),
                                 ("Server", self.server), ("Content-Length", str(len(body))), ("X-XSS-Protection", "0"),
                                 ("X-Frame-Options", "SAMEORIGIN")], body)

    def _error(self, status: int, detail: str, extra: list[tuple[str, str]] = []) -> Response:
        body = HTML.format(status=status, text=TEXTS[status], detail=detail).encode()
        return Response(status, [*extra, FLAVOR, ("Date", date()), ("Content-Type", "text/html; charset=UTF-8"),
                                 ("Server", self.server), ("Content-Length", str(len(body))), ("X-XSS-Protection", "0"),
                                 ("X-Frame-Options", "SAMEORIGIN")], body)

    def bad_request(self) -> Response:
        return self._error(400, "Your client has issued a malformed or illegal request.")
