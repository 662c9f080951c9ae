"""Azure's instance metadata service, and as much of WireServer (168.63.129.16) as its agent asks for first."""

from __future__ import annotations

import base64
import hashlib
import json
import time

from http1 import Request, Response, date

NEWEST = ["2021-12-13", "2021-11-15", "2021-11-01"]
VERSIONS = ["2017-03-01", "2017-04-02", "2017-08-01", "2018-02-01", "2018-10-01", "2019-08-01", "2020-06-01",
            "2020-09-01", "2021-01-01", "2021-02-01", "2021-08-01", *reversed(NEWEST)]
INSTANCE = {
    "compute": {
        "azEnvironment": "AzurePublicCloud", "location": "westeurope", "name": "demo", "osType": "Linux",
        "publisher": "Debian", "offer": "debian-12", "sku": "12", "resourceGroupName": "demo-group",
        "subscriptionId": "00000000-0000-0000-0000-000000000001", "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
        "vmSize": "Standard_B1s", "userData": base64.b64encode(b"#!/bin/sh\necho hello\n").decode(), "publicKeys": [],
    },
    "network": {"interface": [{
        "ipv4": {"ipAddress": [{"privateIpAddress": "10.66.0.2", "publicIpAddress": ""}],
                 "subnet": [{"address": "10.66.0.0", "prefix": "24"}]},
        "ipv6": {"ipAddress": []}, "macAddress": "000D3A420002"}]},
}
def _goal_state() -> str:
    """As the guest agent reads it: where the parts of this machine's configuration are."""
    def uri(query: str) -> str:
        return f"http://168.63.129.16:80/machine/c6d5/MachineRole_IN_0?{query}&amp;incarnation=1"
    parts = "".join(f"<{name}>{uri(f'comp=config&amp;type={name[0].lower() + name[1:]}')}</{name}>"
                    for name in ("HostingEnvironmentConfig", "SharedConfig", "ExtensionsConfig", "FullConfig"))
    return f"""<?xml version="1.0" encoding="utf-8"?>
<GoalState>
  <Version>2012-11-30</Version>
  <Incarnation>1</Incarnation>
  <Machine><ExpectedState>Started</ExpectedState><StopRolesDeadlineHint>300000</StopRolesDeadlineHint></Machine>
  <Container>
    <ContainerId>c6d5</ContainerId>
    <RoleInstanceList><RoleInstance>
      <InstanceId>MachineRole_IN_0</InstanceId>
      <State>Started</State>
      <Configuration>{parts}<Certificates>{uri("comp=certificates")}</Certificates><ConfigName>c6d5.0.xml</ConfigName></Configuration>
    </RoleInstance></RoleInstanceList>
  </Container>
</GoalState>
"""


# What `comp=config` says by its `type`; the certificates are of a format that the agent keeps and does not open.
CONFIGURATION = {
    "hostingenvironmentconfig": '<HostingEnvironmentConfig version="1.0.0.0" goalStateIncarnation="1"><Deployment name="demo"/>'
                                '<Incarnation number="1" instance="MachineRole_IN_0"/><Role name="MachineRole"/></HostingEnvironmentConfig>',
    "sharedconfig": '<SharedConfig version="1.0.0.0" goalStateIncarnation="1"><Deployment name="demo"/></SharedConfig>',
    "extensionsconfig": '<Extensions version="1.0.0.0" goalStateIncarnation="1"><GuestAgentExtension/></Extensions>',
}
CERTIFICATES = ("<CertificateFile><Version>2010-12-15</Version><Incarnation>1</Incarnation><Format>CertificatesNonPfxPackage</Format>"
                "<Data>EXAMPLE</Data></CertificateFile>")
WIRE_VERSIONS = """<?xml version="1.0" encoding="utf-8"?>
<Versions><Preferred><Version>2015-04-05</Version></Preferred><Supported><Version>2012-11-30</Version></Supported></Versions>
"""


class Service:
    server = "IMDS/150.870.65.1854"

    def __init__(self) -> None:
        self.start = int(time.time())
        self.incarnation = 1
        self.events = [{"EventId": "A123BC45-1234-5678-AB90-ABCDEF123456", "EventStatus": "Scheduled",
                        "EventType": "Reboot", "Resources": ["demo"], "ResourceType": "VirtualMachine"}]

    def refuses_expectation(self) -> bool:
        return False

    async def answer(self, request: Request) -> Response:
        path = "/" + "/".join(part for part in request.path.lower().split("/") if part)
        if (request.header("host") or "").startswith("168.63.129.16"):
            return self._wire(request, path)
        if request.header("x-forwarded-for") is not None:
            return self._error(400, "Bad request. X-Forwarded-For is not allowed")
        if (request.header("metadata") or "").lower() != "true":
            return self._error(400, "Bad request. Required metadata header not specified")
        if path == "/metadata/versions":
            return self._json(200, {"apiVersions": VERSIONS})
        query = {key.lower(): value for key, value in request.query.items()}
        version = query.get("api-version")
        if version is None:
            return self._json(400, {"error": "Bad request. api-version was not specified in the request. For more information "
                                    "refer to aka.ms/azureimds", "newest-versions": NEWEST})
        if version not in VERSIONS:
            return self._json(400, {"error": "Bad request. api-version is invalid or was not specified in the request. For more "
                                    "information refer to aka.ms/azureimds", "newest-versions": NEWEST})
        if path == "/metadata/scheduledevents":
            return self._scheduled(request)
        if request.method not in ("GET", "HEAD"):
            return self._error(405, "Method not allowed")
        if path == "/metadata/identity/oauth2/token":
            return self._token(query)
        if path == "/metadata/attested/document":
            blob = b"".join(hashlib.sha512(query.get("nonce", "none").encode() + bytes([n])).digest() for n in range(24))
            return self._json(200, {"encoding": "pkcs7", "signature": base64.b64encode(blob).decode()})
        return self._instance(path, query)

    def _token(self, query: dict[str, str]) -> Response:
        if "resource" not in query:
            return self._json(400, {"error": "invalid_request", "error_description": "Required audience parameter not specified"})
        return self._json(200, {
            "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.EXAMPLE." + "x" * 80, "client_id": "00000000-0000-0000-0000-000000000002",
            "expires_in": "86400", "expires_on": str(self.start + 86400), "ext_expires_in": "86399",
            "not_before": str(self.start), "resource": query["resource"], "token_type": "Bearer"})

    def _scheduled(self, request: Request) -> Response:
        if request.method == "GET":
            return self._json(200, {"DocumentIncarnation": self.incarnation, "Events": self.events})
        if request.method != "POST":
            return self._error(405, "Method not allowed")
        try:
            wanted = {entry["EventId"] for entry in json.loads(request.body)["StartRequests"]}
        except (ValueError, KeyError, TypeError):
            return self._error(400, "Bad request")
        self.events = [event for event in self.events if event["EventId"] not in wanted]
        self.incarnation += 1
        return Response(200, [("Content-Length", "0"), ("Server", self.server), ("Date", date())])

    def _instance(self, path: str, query: dict[str, str]) -> Response:
        segments = path.split("/")[1:]
        if segments[:2] != ["metadata", "instance"]:
            return self._error(404, "Not found")
        node: object = INSTANCE
        for segment in segments[2:]:
            if isinstance(node, list):
                if not segment.isdecimal() or int(segment) >= len(node):
                    return self._error(404, "Not found")
                node = node[int(segment)]
                continue
            children = {key.lower(): value for key, value in node.items()} if isinstance(node, dict) else {}
            if segment not in children:
                return self._error(404, "Not found")
            node = children[segment]
        if query.get("format") == "text":
            text = node if isinstance(node, str) else "\n".join(
                str(key) + ("/" if isinstance(value, (dict, list)) else "")
                for key, value in (node.items() if isinstance(node, dict) else enumerate(node)))
            body = text.encode()
            return Response(200, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))),
                                  ("Server", self.server), ("Date", date())], body)
        if isinstance(node, str):
            return self._error(400, "Bad request. Leaf nodes are available as text only")
        return self._json(200, node)

    def _wire(self, request: Request, path: str) -> Response:
        component = request.query.get("comp", "")
        if component == "versions":
            body, status = WIRE_VERSIONS, 200
        elif path.startswith("/machine") and component == "goalstate":
            body, status = _goal_state(), 200
        elif path.startswith("/machine") and component == "certificates":
            body, status = CERTIFICATES, 200
        elif path.startswith("/machine") and component == "config":
            body = CONFIGURATION.get(request.query.get("type", "").lower(), "")
            status = 200 if body else 404
        elif request.method == "POST":
            body, status = "", 200
        else:
            body, status = "", 404
        return Response(status, [("Content-Type", "text/xml; charset=utf-8"), ("Server", "Microsoft-IIS/10.0"),
                                 ("x-ms-version", "2012-11-30"), ("Date", date()), ("Content-Length", str(len(body)))], body.encode())

    def _json(self, status: int, value: object) -> Response:
        body = json.dumps(value, separators=(",", ":")).encode()
        return Response(status, [("Content-Type", "application/json; charset=utf-8"), ("Server", self.server),
                                 ("Date", date()), ("Content-Length", str(len(body)))], body)

    def _error(self, status: int, text: str) -> Response:
        return self._json(status, {"error": text})

    def bad_request(self) -> Response:
        return self._error(400, "Bad request")
