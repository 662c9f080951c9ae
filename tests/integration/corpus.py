"""The requests whose answers must not change when the gateway stands between: recorded ones, and the odd ones."""

from __future__ import annotations

import dataclasses
import json

from lab import REPOSITORY, V4
from raw import get

TOKEN = "X-aws-ec2-metadata-token: {TOKEN}"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
FLAVOR = "Metadata-Flavor: Google"
AZURE = "Metadata: true"
CLOSE = "Connection: close"


@dataclasses.dataclass
class Case:
    """One connection: each message is sent after the answer to the one before, unless they are pipelined."""
    name: str
    messages: list[bytes]
    address: str = V4
    port: int = 80
    pipelined: bool = False
    body: bytes = b""  # after Expect: sent when the answer is 100, and only then

    @property
    def methods(self) -> list[str]:
        return [method for message in self.messages for method in self._methods(message)]

    def _methods(self, message: bytes) -> list[str]:
        if not self.pipelined:
            return [message.split(b" ", 1)[0].decode()]
        return [part.split(b" ", 1)[0].decode() for part in message.split(b"\r\n\r\n") if b" HTTP/1." in part]


def recorded(provider: str) -> list[Case]:
    cases = []
    path = REPOSITORY / "tests" / "fixtures" / "recorded" / f"{provider}.ndjson"
    for number, line in enumerate(path.read_text().splitlines(), 1):
        entry = json.loads(line)
        address, _, port = entry.get("dst", f"{V4}:80").rpartition(":")
        data = "\r\n".join([entry["line"], *entry["headers"], "", entry["body"]]).encode("latin-1")
        cases.append(Case(f"{entry['client']}-{number}", [data], address.strip("[]"), int(port)))
    return cases


def _put(*headers: str, body: bytes = b"", path: str = "/latest/api/token") -> bytes:
    return get(path, *headers, method="PUT") + body


def _one(name: str, message: bytes, **options) -> Case:
    return Case(name, [message], **options)


CREDENTIALS = "/latest/meta-data/iam/security-credentials/demo-role"
INSTANCE = "/latest/meta-data/instance-id"

EC2 = [
    _one("v1", get(INSTANCE)), _one("v2", get(INSTANCE, TOKEN)), _one("token", _put(f"{TTL}: 60", "Content-Length: 0")),
    _one("token-no-length", _put(f"{TTL}: 60")), _one("token-body", _put(f"{TTL}: 60", "Content-Length: 5", body=b"hello")),
    _one("token-no-ttl", _put("Content-Length: 0")), _one("token-ttl-0", _put(f"{TTL}: 0")), _one("token-ttl-21601", _put(f"{TTL}: 21601")),
    _one("token-ttl-text", _put(f"{TTL}: soon")), _one("token-get", get("/latest/api/token")),
    _one("token-slash", _put(f"{TTL}: 60", path="/latest/api/token/")), _one("token-forwarded", _put(f"{TTL}: 60", "X-Forwarded-For: 10.0.0.1")),
    _one("get-forwarded", get(INSTANCE, TOKEN, "X-Forwarded-For: 10.0.0.1, 10.0.0.2")), _one("v1-forwarded", get(INSTANCE, "X-Forwarded-For: 10.0.0.1")),
    _one("forwarded", get(INSTANCE, "Forwarded: for=10.0.0.1", "Via: 1.1 proxy")), _one("bad-token", get(INSTANCE, TOKEN + "x")),
    _one("no-space", get(INSTANCE, TOKEN.replace(": ", ":"))), _one("credentials", get(CREDENTIALS, TOKEN)),
    _one("credentials-head", get(CREDENTIALS, TOKEN, method="HEAD")), _one("head", get(INSTANCE, method="HEAD")),
    _one("head-missing", get("/latest/meta-data/none", method="HEAD")), _one("missing", get("/latest/meta-data/none")),
    _one("root", get("/")), _one("post", get(INSTANCE, "Content-Length: 3", method="POST") + b"a=b"), _one("delete", get(INSTANCE, method="DELETE")),
    _one("options", get("/latest/api/token", method="OPTIONS")), _one("slashes", get("//latest///meta-data/instance-id/")),
    _one("directory", get("/latest/meta-data/iam")), _one("user-data", get("/latest/user-data", TOKEN)), _one("encoded", get("/latest/meta-data/instance%2did")),
    _one("dots", get("/latest/user-data/../meta-data/instance-id")), _one("query", get(INSTANCE + "?a=%20b&a=c")), _one("dated", get("/2021-03-23/dynamic/instance-identity/pkcs7")),
    _one("close", get(INSTANCE, CLOSE)), _one("keep-alive-header", get(INSTANCE, "Connection: keep-alive", "Keep-Alive: timeout=5")),
    _one("http10", get(INSTANCE, version="HTTP/1.0")), _one("http10-no-host", f"GET {INSTANCE} HTTP/1.0\r\n\r\n".encode()),
    _one("http10-keep", get(INSTANCE, "Connection: keep-alive", version="HTTP/1.0")),
    Case("kept", [_put(f"{TTL}: 60"), get(INSTANCE, TOKEN), get("/latest/meta-data/none", TOKEN), get(CREDENTIALS, TOKEN, CLOSE)]),
    _one("pipelined", get(INSTANCE) + get("/latest/meta-data/mac", method="HEAD") + get("/latest/meta-data/ami-id", CLOSE), pipelined=True),
    _one("chunked-put", _put(f"{TTL}: 60", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")),
    _one("expect-put", _put(f"{TTL}: 60", "Transfer-Encoding: chunked", "Expect: 100-continue"), body=b"0\r\n\r\n"),
    _one("odd-header-names", get(INSTANCE, "x-MiXeD: 1", "X-Twice: a", "x-other:b", "X-Twice: c", "X-Empty:")), _one("latin", get(INSTANCE, "X-Name: caf\xe9")),
    _one("host-port", get(INSTANCE, host="169.254.169.254:80")), _one("host-name", get(INSTANCE, host="instance-data.ec2.internal")),
    _one("v6", get(INSTANCE, TOKEN, host="[fd00:ec2::254]"), address="fd00:ec2::254"),
    _one("v6-token", get("/latest/api/token", f"{TTL}: 60", method="PUT", host="[fd00:ec2::254]"), address="fd00:ec2::254"),
    _one("range", get("/latest/user-data", "Range: bytes=0-3")), _one("conditional", get("/latest/user-data", 'If-None-Match: "x"')),
]
FAULTS = [
    *(_one(f"fault-{name}", get(f"/fault/{name}")) for name in ("http10", "chunked", "headers", "204", "304", "empty-reason")),
    *(_one(f"fault-head-{name}", get(f"/fault/{name}", method="HEAD")) for name in ("http10", "chunked", "headers", "204", "big")),
    _one("fault-slow", get("/fault/slow?bytes=5")), _one("fault-big", get("/fault/big?bytes=300000")), _one("fault-big-empty", get("/fault/big?bytes=0")),
    _one("fault-100", get("/fault/100", "Content-Length: 5", "Expect: 100-continue", method="PUT"), body=b"hello"),
    _one("fault-100-chunked", get("/fault/100", "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST"), body=b"5\r\nhello\r\n0\r\n\r\n"),
    _one("fault-upload", get("/fault/100", "Content-Length: 200000", method="POST") + b"u" * 200000),
    Case("fault-kept", [get("/fault/chunked"), get("/fault/204"), get("/fault/304"), get("/fault/headers"), get(INSTANCE, CLOSE)]),
    _one("fault-chunked-http10", get("/fault/http10", version="HTTP/1.0")),
]
GCE = [
    _one("root", get("/")), _one("no-flavor", get("/computeMetadata/v1/instance/name")), _one("forwarded", get("/computeMetadata/v1/", FLAVOR, "X-Forwarded-For: 10.0.0.1")),
    _one("token", get("/computeMetadata/v1/instance/service-accounts/default/token", FLAVOR)), _one("redirect", get("/computeMetadata/v1/instance", FLAVOR)),
    _one("identity", get("/computeMetadata/v1/instance/service-accounts/default/identity?audience=https://example.com&format=full", FLAVOR)),
    _one("recursive", get("/computeMetadata/v1/?recursive=true", FLAVOR)), _one("missing", get("/computeMetadata/v1/none", FLAVOR)),
    _one("wait", get("/computeMetadata/v1/instance/name?wait_for_change=true&timeout_sec=1", FLAVOR)), _one("legacy", get("/0.1/meta-data/instance/name")),
    _one("post", get("/computeMetadata/v1/instance/name", FLAVOR, "Content-Length: 1", method="POST") + b"x"),
]
AZURE_CASES = [
    _one("no-header", get("/metadata/instance?api-version=2021-02-01")), _one("no-version", get("/metadata/instance", AZURE)),
    _one("instance", get("/metadata/instance?api-version=2021-02-01", AZURE)), _one("versions", get("/metadata/versions", AZURE)),
    _one("case", get("/Metadata/Instance/Compute/Name?api-version=2021-02-01&format=text", "METADATA:True")),
    _one("token", get("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net", AZURE)),
    _one("attested", get("/metadata/attested/document?api-version=2020-09-01&nonce=1234", AZURE)),
    _one("events", get("/metadata/scheduledevents?api-version=2020-07-01", AZURE)),
    _one("events-post", get("/metadata/scheduledevents?api-version=2020-06-01", AZURE, "Content-Length: 40", method="POST") + b'{"StartRequests": [{"EventId": "nobody"}]}'[:40]),
    _one("forwarded", get("/metadata/instance?api-version=2021-02-01", AZURE, "X-Forwarded-For: 10.0.0.1")),
]
