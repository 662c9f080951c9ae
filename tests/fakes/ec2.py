"""The EC2 instance metadata service: versions 1 and 2, their errors, and a tree as a small instance has it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time

from http1 import Request, Response, date

ROLE = "demo-role"
MAC = "0a:ff:d5:00:00:2a"
INSTANCE = "i-0123456789abcdef0"
ACCOUNT = "123456789012"
KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDEXAMPLEKEYEXAMPLEKEYEXAMPLEKEY demo-key"
USER_DATA = b"#cloud-config\nruncmd:\n  - [echo, hello]\n"
DATED = ("1.0", "2007-01-19", "2008-02-01", "2008-09-01", "2009-04-04", "2011-01-01", "2012-01-12", "2014-02-25",
         "2016-09-02", "2018-03-28", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15")
TTL = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
ERROR = """<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{status} - {text}</title>
 </head>
 <body>
  <h1>{status} - {text}</h1>
 </body>
</html>
"""
TEXTS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
         417: "Expectation Failed"}


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def credentials(now: float, key: str = "ASIAIOSFODNN7EXAMPLE") -> str:
    """The documentation's example keys: they open nothing."""
    return json.dumps({
        "Code": "Success", "LastUpdated": _iso(now), "Type": "AWS-HMAC", "AccessKeyId": key,
        "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "Token": base64.b64encode(b"example session token " * 12).decode(), "Expiration": _iso(now + 6 * 3600),
    }, indent=2)


def _identity(now: float) -> dict:
    return {
        "accountId": ACCOUNT, "architecture": "x86_64", "availabilityZone": "eu-central-1a", "billingProducts": None,
        "devpayProductCodes": None, "marketplaceProductCodes": None, "imageId": "ami-0abcdef1234567890",
        "instanceId": INSTANCE, "instanceType": "t3.micro", "kernelId": None, "pendingTime": _iso(now),
        "privateIp": "10.66.0.2", "ramdiskId": None, "region": "eu-central-1", "version": "2017-09-30",
    }


def _signature(name: str, lines: int) -> str:
    blob = b"".join(hashlib.sha512(f"{name}{n}".encode()).digest() for n in range(lines))
    text = base64.b64encode(blob).decode()
    return "\n".join(text[at:at + 76] for at in range(0, len(text), 76))


def tree(now: float) -> dict:
    """A directory is a dict, a leaf a string or bytes. The order is the order of a listing."""
    interface = {
        "device-number": "0", "interface-id": "eni-0123456789abcdef0", "ipv4-associations": {"198.51.100.7": "10.66.0.2"},
        "ipv6s": "fd66::2", "local-hostname": "ip-10-66-0-2.eu-central-1.compute.internal", "local-ipv4s": "10.66.0.2",
        "mac": MAC, "owner-id": ACCOUNT, "public-hostname": "ec2-198-51-100-7.eu-central-1.compute.amazonaws.com",
        "public-ipv4s": "198.51.100.7", "security-group-ids": "sg-0123456789abcdef0", "security-groups": "default",
        "subnet-id": "subnet-0123456789abcdef0", "subnet-ipv4-cidr-block": "10.66.0.0/24",
        "subnet-ipv6-cidr-blocks": "fd66::/64", "vpc-id": "vpc-0123456789abcdef0", "vpc-ipv4-cidr-block": "10.66.0.0/16",
        "vpc-ipv4-cidr-blocks": "10.66.0.0/16",
    }
    meta = {
        "ami-id": "ami-0abcdef1234567890", "ami-launch-index": "0", "ami-manifest-path": "(unknown)",
        "block-device-mapping": {"ami": "/dev/xvda", "root": "/dev/xvda"},
        "events": {"maintenance": {"history": "[]", "scheduled": "[]"}, "recommendations": {}},
        "hibernation": {"configured": "false"}, "hostname": "ip-10-66-0-2.eu-central-1.compute.internal",
        "iam": {
            "info": json.dumps({"Code": "Success", "LastUpdated": _iso(now),
                                "InstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{ROLE}",
                                "InstanceProfileId": "AIPAEXAMPLEEXAMPLE00"}, indent=2),
            "security-credentials": {ROLE: credentials(now)},
        },
        "identity-credentials": {"ec2": {
            "info": json.dumps({"Code": "Success", "LastUpdated": _iso(now), "AccountId": ACCOUNT}, indent=2),
            "security-credentials": {"ec2-instance": credentials(now, "ASIAI44QH8DHBEXAMPLE")}}},
        "instance-action": "none", "instance-id": INSTANCE, "instance-life-cycle": "on-demand",
        "instance-type": "t3.micro", "local-hostname": "ip-10-66-0-2.eu-central-1.compute.internal",
        "local-ipv4": "10.66.0.2", "mac": MAC, "metrics": {"vhostmd": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"},
        "network": {"interfaces": {"macs": {MAC: interface}}},
        "placement": {"availability-zone": "eu-central-1a", "availability-zone-id": "euc1-az2", "region": "eu-central-1"},
        "profile": "default-hvm", "public-hostname": "ec2-198-51-100-7.eu-central-1.compute.amazonaws.com",
        "public-ipv4": "198.51.100.7", "public-keys": {"0": {"openssh-key": KEY}},
        "reservation-id": "r-0123456789abcdef0", "security-groups": "default",
        "services": {"domain": "amazonaws.com", "partition": "aws"}, "system": "nitro",
        "tags": {"instance": {"Name": "demo"}},
    }
    identity = {"document": json.dumps(_identity(now), indent=2), "pkcs7": _signature("pkcs7", 20),
                "rsa2048": _signature("rsa2048", 24), "signature": _signature("signature", 3)}
    return {"dynamic": {"instance-identity": identity, "fws": {"instance-monitoring": "disabled"}}, "meta-data": meta,
            "user-data": USER_DATA}


class Service:
    server = "EC2ws"

    def __init__(self, v2_required: bool = False, start: float | None = None):
        self.v2_required = v2_required
        self.start = time.time() if start is None else start
        self.root = tree(self.start)
        self.tokens: dict[str, float] = {}
        self.modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self.start))

    def refuses_expectation(self) -> bool:
        return True

    async def answer(self, request: Request) -> Response:
        segments = [part for part in request.path.split("/") if part]
        if segments[1:] == ["api", "token"] and segments[0] == "latest":
            return self._token(request)
        if request.method not in ("GET", "HEAD"):
            return self._error(405, [("Allow", "OPTIONS, GET, HEAD")])
        token = request.header("x-aws-ec2-metadata-token")
        if token is None and self.v2_required:
            return self._error(401)
        if token is not None:
            if request.header("x-forwarded-for") is not None:
                return self._error(403)
            if self.tokens.get(token, 0.0) <= time.monotonic():
                return self._error(401)
        return self._resource(request, segments, token)

    def _token(self, request: Request) -> Response:
        if request.path.endswith("/"):
            return self._error(403)
        if request.method != "PUT":
            return self._error(405, [("Allow", "OPTIONS, PUT")])
        if request.header("x-forwarded-for") is not None:
            return self._error(403)
        ttl = request.header("x-aws-ec2-metadata-token-ttl-seconds") or ""
        if not re.fullmatch(r"[0-9]{1,5}", ttl) or not 1 <= int(ttl) <= 21600:
            return self._error(400)
        now = time.monotonic()
        if len(self.tokens) >= 10000:
            self.tokens = {token: end for token, end in self.tokens.items() if end > now}
        token = "AQAEA" + base64.urlsafe_b64encode(secrets.token_bytes(37)).decode()[:49] + "=="
        self.tokens[token] = now + int(ttl)
        body = token.encode()
        return Response(200, [(TTL, str(int(ttl))), ("Content-Type", "text/plain"), ("Content-Length", str(len(body))),
                              ("Date", date()), ("Server", self.server)], body)

    def _resource(self, request: Request, segments: list[str], token: str | None) -> Response:
        if not segments:
            return self._content("\n".join((*DATED, "latest")).encode(), "text/plain", token)
        if segments[0] != "latest" and segments[0] not in DATED:
            return self._error(404)
        node: dict | str | bytes = self.root
        for segment in segments[1:]:
            key = segment.partition("=")[0] if node is self._keys() else segment
            if not isinstance(node, dict) or key not in node:
                return self._error(404)
            node = node[key]
        if isinstance(node, dict):
            return self._content(self._listing(node).encode(), "text/plain", token)
        if isinstance(node, bytes):
            return self._content(node, "application/octet-stream", token)
        return self._content(node.encode(), "text/plain", token)

    def _keys(self) -> dict:
        return self.root["meta-data"]["public-keys"]

    def _listing(self, node: dict) -> str:
        if node is self._keys():
            return "\n".join(f"{index}={key['openssh-key'].split()[-1]}" for index, key in node.items())
        return "\n".join(name + ("/" if isinstance(child, dict) else "") for name, child in node.items())

    def _content(self, body: bytes, kind: str, token: str | None) -> Response:
        headers = [(TTL, str(int(self.tokens[token] - time.monotonic())))] if token else []
        headers += [("Content-Type", kind), ("Accept-Ranges", "none"), ("Last-Modified", self.modified),
                    ("ETag", f'"{hashlib.sha256(body).hexdigest()[:10]}"'), ("Content-Length", str(len(body))),
                    ("Date", date()), ("Server", self.server)]
        return Response(200, headers, body)

    def _error(self, status: int, extra: list[tuple[str, str]] = []) -> Response:
        body = ERROR.format(status=status, text=TEXTS[status]).encode()
        return Response(status, [*extra, ("Content-Type", "text/html"), ("Content-Length", str(len(body))),
                                 ("Date", date()), ("Server", self.server)], body)

    def bad_request(self) -> Response:
        return self._error(400)

    def expectation_failed(self) -> Response:
        return self._error(417)
