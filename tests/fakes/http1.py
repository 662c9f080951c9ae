"""HTTP/1 messages as the fake services see and write them: nothing is normalised, so that a test can compare bytes."""

from __future__ import annotations

import asyncio
import dataclasses
import email.utils
import http
import urllib.parse

HEADER_LIMIT = 64 * 1024
BODY_LIMIT = 16 * 1024 * 1024


class Malformed(Exception):
    """What arrived is not an HTTP/1 request; the text says why."""


@dataclasses.dataclass
class Request:
    method: str
    target: str
    version: str
    lines: list[str]  # the header's lines as they came
    body: bytes = b""

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in self.lines)]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The last value of each key, as the services read it."""
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def keep_alive(self) -> bool:
        tokens = {token.strip().lower() for token in (self.header("connection") or "").split(",")}
        return "close" not in tokens if self.version == "HTTP/1.1" else "keep-alive" in tokens


@dataclasses.dataclass
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    close: bool = False

    def wire(self, request: Request | None) -> tuple[bytes, bool]:
        """The bytes, and whether the connection ends after them."""
        close = self.close or request is None or not request.keep_alive
        version = request.version if request else "HTTP/1.1"
        lines = [f"{version} {self.status} {http.HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if close:
            lines.append("Connection: close")
        elif version == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        bodiless = self.status in (204, 304) or (request is not None and request.method == "HEAD")
        return head + (b"" if bodiless else self.body), close


def date() -> str:
    return email.utils.formatdate(usegmt=True)


async def read_head(reader: asyncio.StreamReader) -> Request | None:
    """The next request without its body; None when the connection ended between two requests."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial.strip(b"\r\n"):
            return None
        raise Malformed("the connection ended inside a header") from error
    except asyncio.LimitOverrunError as error:
        raise Malformed("the header is too long") from error
    first, *lines = head[:-4].lstrip(b"\r\n").decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.0", "HTTP/1.1") or not parts[0].isalpha():
        raise Malformed("not a request line")
    if not parts[1].startswith("/") and parts[1] != "*":
        raise Malformed("not an origin-form target")
    if any(":" not in line or line[0] in " \t:" for line in lines):
        raise Malformed("not a header line")
    request = Request(parts[0], parts[1], parts[2], lines)
    if request.version == "HTTP/1.1" and request.header("host") is None:
        raise Malformed("no Host")
    return request


async def read_body(request: Request, reader: asyncio.StreamReader) -> None:
    if (request.header("transfer-encoding") or "").lower() == "chunked":
        request.body = await _read_chunks(reader)
        return
    length = request.header("content-length")
    if length is None:
        return
    if not length.isdecimal() or int(length) > BODY_LIMIT:
        raise Malformed("not a content length")
    request.body = await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = (await reader.readline()).partition(b";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError as error:
            raise Malformed("not a chunk size") from error
        if length == 0:
            while (await reader.readline()).strip():
                pass
            return bytes(body)
        body += await reader.readexactly(length)
        if len(body) > BODY_LIMIT or await reader.readexactly(2) != b"\r\n":
            raise Malformed("a chunk does not end where it says")
