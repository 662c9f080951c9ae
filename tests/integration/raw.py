"""HTTP answers read from a socket with nothing normalised: what was sent is what a test compares."""

from __future__ import annotations

import dataclasses
import socket


@dataclasses.dataclass
class Answer:
    line: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    interim: list[str] = dataclasses.field(default_factory=list)
    complete: bool = True

    @property
    def status(self) -> int:
        return int(self.line.split(" ", 2)[1])

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Reader:
    def __init__(self, connection: socket.socket):
        self.file = connection.makefile("rb")

    def answer(self, method: str = "GET") -> Answer | None:
        """The next answer and the interim ones before it; None when the connection ended first."""
        interim: list[str] = []
        while True:
            line = self.file.readline()
            if not line:
                return None
            answer = Answer(line.decode("latin-1").rstrip("\r\n"), self._fields(), interim=interim)
            if answer.status // 100 != 1:
                break
            interim.append(answer.line)
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        length = answer.header("content-length")
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            self._chunks(answer)
        elif length is not None:
            answer.body = self.file.read(int(length))
            answer.complete = len(answer.body) == int(length)
        else:
            answer.body = self.file.read()
        return answer

    def interim(self) -> Answer | None:
        """One answer of any kind, without a body: what a client that sent Expect waits for."""
        line = self.file.readline()
        return Answer(line.decode("latin-1").rstrip("\r\n"), self._fields()) if line else None

    def _fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self.file.readline().rstrip(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name, value.strip(" \t")))
        return fields

    def _chunks(self, answer: Answer) -> None:
        while size := self.file.readline().partition(b";")[0].strip():
            if int(size, 16) == 0:
                answer.trailers = self._fields()
                return
            answer.body += self.file.read(int(size, 16))
            self.file.readline()
        answer.complete = False

    def ended(self) -> bool:
        """Waits for the connection's end; False when more bytes come instead."""
        try:
            return self.file.read(1) == b""
        except ConnectionError:
            return True


def exchange(connection: socket.socket, data: bytes, method: str = "GET") -> Answer | None:
    connection.sendall(data)
    return Reader(connection).answer(method)


def get(path: str, *headers: str, method: str = "GET", host: str = "169.254.169.254", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{method} {path} {version}", f"Host: {host}", *headers, "", ""]).encode("latin-1")
