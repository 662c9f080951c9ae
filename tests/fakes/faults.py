"""Bad upstreams by path: what a gateway meets when the service, or what stands in for it, misbehaves."""

from __future__ import annotations

import asyncio
import socket
import struct

from http1 import Request

CHUNK = b"0123456789abcdef" * 1024


class Faults:
    """Each method answers one path on the raw stream and says whether the connection stays open."""

    def __init__(self, request: Request, writer: asyncio.StreamWriter):
        self.request, self.writer = request, writer

    async def run(self) -> bool:
        name = self.request.path.removeprefix("/fault/").replace("-", "_").strip("/")
        handler = getattr(self, f"fault_{name}", None)
        if handler is None:
            await self._send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        return await handler()

    async def _send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def _number(self, key: str, default: int) -> int:
        return min(int(self.request.query.get(key, default)), 256 << 20)

    async def fault_stall(self) -> bool:
        """Never answers; ends when the peer does."""
        await self.writer.wait_closed()
        return False

    async def fault_reset(self) -> bool:
        """Half of the promised body, then RST."""
        await self._send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2000\r\n\r\n" + CHUNK[:1000])
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        return False

    async def fault_short(self) -> bool:
        """Half of the promised body, then an orderly end."""
        await self._send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2000\r\n\r\n" + CHUNK[:1000])
        return False

    async def fault_garbage(self) -> bool:
        await self._send(b"\x00\xff\xfeSSH-2.0-OpenSSH_9.2\r\n\r\n" + bytes(range(256)))
        return False

    async def fault_close(self) -> bool:
        return False

    async def fault_http10(self) -> bool:
        await self._send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + self._body(CHUNK[:500]))
        return False

    async def fault_chunked(self) -> bool:
        """Chunk extensions and trailers."""
        await self._send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        if self.request.method != "HEAD":
            await self._send(b'5;name=value\r\nhello\r\n1;q="a b"\r\n \r\n6\r\nworld!\r\n0\r\nX-Sum: 12\r\nX-Other: a\r\n\r\n')
        return True

    async def fault_slow(self) -> bool:
        """One byte every tenth of a second."""
        count = self._number("bytes", 10)
        await self._send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % count)
        for _ in range(count if self.request.method != "HEAD" else 0):
            await asyncio.sleep(0.1)
            await self._send(b"x")
        return True

    async def fault_big(self) -> bool:
        count = self._number("bytes", 1 << 20)
        await self._send(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % count)
        while count and self.request.method != "HEAD":
            part = CHUNK[:count]
            await self._send(part)
            count -= len(part)
        return True

    async def fault_100(self) -> bool:
        """The server has sent 100 Continue before it read the body; the answer tells what arrived."""
        body = b"received %d\n" % len(self.request.body)
        await self._send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + self._body(body))
        return True

    async def fault_headers(self) -> bool:
        """Odd order, odd case, duplicated names, no space after the colon, empty and long values."""
        await self._send(b"HTTP/1.1 200 All Right\r\nx-first:1\r\nContent-Length: 2\r\nSET-COOKIE: a=1\r\nX-Empty:\r\n"
                         b"server:   odd/1.0\r\nset-cookie: b=2\r\nX-First: 2\r\nConTent-TyPe: text/plain\r\nX-Long: "
                         + b"l" * 3000 + b"\r\nX-Latin: caf\xe9\r\n\r\n" + self._body(b"ok"))
        return True

    async def fault_204(self) -> bool:
        await self._send(b"HTTP/1.1 204 No Content\r\nServer: fault\r\n\r\n")
        return True

    async def fault_304(self) -> bool:
        await self._send(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 500\r\n\r\n')
        return True

    async def fault_empty_reason(self) -> bool:
        await self._send(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n" + self._body(b"ok"))
        return True

    async def fault_long_header(self) -> bool:
        """More header than any client should take: an endless line."""
        await self._send(b"HTTP/1.1 200 OK\r\nX-Endless: " + CHUNK * 64)
        return False

    def _body(self, body: bytes) -> bytes:
        return b"" if self.request.method == "HEAD" else body
