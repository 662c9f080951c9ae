#!/usr/bin/python3
"""A metadata service of our own: answers as EC2's, GCE's or Azure's does, logs what it received, misbehaves on demand.

  imds.py --provider ec2 --address 169.254.169.254 --address fd00:ec2::254 --log received.ndjson --ready-fd 1

One NDJSON line for each of: open, request, response, eof (the peer sent its last byte), close. SIGHUP, or a request
for /fault/change, is a change that GCE's wait_for_change waits for. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import sys
import time

import azure
import ec2
import gce
from faults import Faults
from http1 import HEADER_LIMIT, Malformed, Request, Response, read_body, read_head


class Log:
    """Lines are complete in the file as soon as the call returns."""

    def __init__(self, path: str | None):
        self.file = open(path, "a", buffering=1, encoding="ascii") if path else None

    def write(self, event: str, **fields: object) -> None:
        if self.file:
            self.file.write(json.dumps({"ev": event, "t": round(time.time(), 6), **fields}) + "\n")


class Connection(asyncio.StreamReaderProtocol):
    """One accepted connection; tells the log about the peer's end even while a request is being answered."""

    numbers = itertools.count(1)

    def __init__(self, fake: Fake):
        super().__init__(asyncio.StreamReader(limit=HEADER_LIMIT), self._opened)
        self.fake, self.number, self.task = fake, next(self.numbers), None

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, local = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        self.fake.log.write("open", conn=self.number, peer=list(peer[:2]), local=list(local[:2]))
        self.task = asyncio.ensure_future(self.fake.serve(self.number, reader, writer))

    def eof_received(self) -> bool | None:
        self.fake.log.write("eof", conn=self.number)
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self.fake.log.write("close", conn=self.number, error=type(error).__name__ if error else None)
        super().connection_lost(error)
        if error and self.task:
            self.task.cancel()


class Fake:
    def __init__(self, service, log: Log, faults: bool):
        self.service, self.log, self.faults = service, log, faults

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            count = 0
            while await self._exchange(number, count := count + 1, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, number: int, count: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            request = await read_head(reader)
            if request is None:
                return False
            fault = self.faults and request.path.startswith("/fault/")
            expects = (request.header("expect") or "").lower() == "100-continue"
            if expects and not fault and self.service.refuses_expectation():
                self._log_request(number, count, request)
                return await self._send(number, writer, request, self.service.expectation_failed(), close=True)
            if expects:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await read_body(request, reader)
        except Malformed as error:
            self.log.write("malformed", conn=number, why=str(error))
            return await self._send(number, writer, None, self.service.bad_request(), close=True)
        self._log_request(number, count, request)
        if fault and request.path == "/fault/change":
            self.change()
            return await self._send(number, writer, request, Response(200, [("Content-Length", "0")]))
        if fault:
            return await Faults(request, writer).run() and request.keep_alive
        return await self._send(number, writer, request, await self.service.answer(request))

    def _log_request(self, number: int, count: int, request: Request) -> None:
        self.log.write("request", conn=number, n=count, method=request.method, target=request.target, version=request.version,
                       headers=request.headers, lines=request.lines, body=request.body.decode("latin-1"))

    async def _send(self, number: int, writer: asyncio.StreamWriter, request: Request | None, response: Response,
                    close: bool = False) -> bool:
        response.close = response.close or close
        data, ends = response.wire(request)
        writer.write(data)
        await writer.drain()
        self.log.write("response", conn=number, status=response.status)
        return not ends

    def change(self) -> None:
        if isinstance(self.service, gce.Service):
            self.service.change()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", action="append", help="an address to listen on; repeatable (127.0.0.1)")
    parser.add_argument("--port", action="append", type=int, help="a port to listen on; repeatable (80)")
    parser.add_argument("--provider", choices=("ec2", "gce", "azure"), default="ec2")
    parser.add_argument("--v2-required", action="store_true", help="EC2: a request without a token gets 401")
    parser.add_argument("--no-faults", action="store_true", help="/fault/… is a path like any other")
    parser.add_argument("--log", help="NDJSON of what happened, appended")
    parser.add_argument("--ready-fd", type=int, help="READY is written here once it listens, and the descriptor closed")
    parser.add_argument("--ready-file", help="created, with the pid in it, once it listens")
    return parser.parse_args()


def announce(options: argparse.Namespace) -> None:
    if options.ready_file:
        with open(options.ready_file + ".new", "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        os.rename(options.ready_file + ".new", options.ready_file)
    if options.ready_fd is not None:
        os.write(options.ready_fd, b"READY\n")
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, options.ready_fd)  # the reader sees the end; descriptors 1 and 2 stay usable


async def run(options: argparse.Namespace) -> None:
    service = {"ec2": lambda: ec2.Service(options.v2_required), "gce": gce.Service, "azure": azure.Service}[options.provider]()
    fake = Fake(service, Log(options.log), not options.no_faults)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, fake.change)
    for address in options.address or ["127.0.0.1"]:
        for port in options.port or [80]:
            await loop.create_server(lambda: Connection(fake), address, port, backlog=1024)
    announce(options)
    await ended.wait()


if __name__ == "__main__":
    try:
        asyncio.run(run(arguments()))
    except OSError as error:
        sys.exit(f"imds.py: {error}")
