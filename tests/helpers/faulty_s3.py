"""A proxy before a local S3 that answers badly: overloaded, cut off in the middle, or not at all.

Which request meets which fault is decided by a function of the test's own (`always`, `once`, `seeded`), so that a test
says what happens and finds it again.
"""

import http.client
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Fault", "FaultyS3", "always", "faulty_s3", "never", "once", "seeded"]

Fault = str | None
"""`503`, `slow_down`: an answer in S3's words and nothing done. `denied`, `expired`: likewise, and asking again is no
use. `dropped`: the connection ends before the request is read. `lost`: the request is carried out and its answer never
comes. `half`: the answer ends in the middle. `unkept`: the condition of a create is ignored, as stores do that do not
know it. None: all goes well."""
Schedule = Callable[[str, str], Fault]

ANSWERS = {
    "503": (503, "ServiceUnavailable", "Service is unable to handle request."),
    "slow_down": (503, "SlowDown", "Please reduce your request rate."),
    "denied": (403, "AccessDenied", "Access Denied"),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
}


def never(method: str, path: str) -> Fault:
    """All goes well."""
    return None


def always(fault: Fault, *methods: str) -> Schedule:
    """Every request of some methods (all of them) meets the fault."""
    return lambda method, path: fault if not methods or method in methods else None


def once(fault: Fault, method: str, part: str = "", times: int = 1) -> Schedule:
    """The first request (the first `times`) of a method whose path holds `part`."""
    left = [times]

    def schedule(asked: str, path: str) -> Fault:
        if asked != method or part not in path or not left[0]:
            return None
        left[0] -= 1
        return fault

    return schedule


def seeded(seed: int, share: float, *faults: str) -> Schedule:
    """That share of all requests meets one of the faults, drawn in the order in which requests come."""
    draw, lock = random.Random(seed), threading.Lock()

    def schedule(method: str, path: str) -> Fault:
        with lock:
            return draw.choice(faults) if draw.random() < share else None

    return schedule


@dataclass
class FaultyS3:
    """A running proxy."""

    endpoint: str
    behind: str
    """The endpoint of the S3 that it stands before, which does as it is asked."""
    schedule: Schedule = never
    met: list[tuple[str, str, Fault]] = field(default_factory=list)
    """Method, path and fault of every request so far."""

    def faults(self) -> list[Fault]:
        """Those that were met."""
        return [fault for _, _, fault in self.met if fault]


@contextmanager
def faulty_s3(behind: str) -> Iterator[FaultyS3]:
    """A proxy on a port of its own before the S3 at the URL `behind`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    proxy = FaultyS3(f"http://127.0.0.1:{server.server_address[1]}", behind)
    server.behind, server.proxy = urlsplit(behind).netloc, proxy  # type: ignore[attr-defined]  # for its handlers
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""

    def _serve(self) -> None:
        fault = self.server.proxy.schedule(self.command, self.path)
        self.server.proxy.met.append((self.command, self.path, fault))
        if fault == "dropped":
            self._hang_up()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault in ANSWERS:
            status, code, said = ANSWERS[fault]
            key = self.headers.get("Authorization", "")
            text = f"<Error><Code>{code}</Code><Message>{said}</Message><Asked>{key}</Asked></Error>".encode()
            self._answer(status, [("Content-Type", "application/xml")], text)
            return
        backend = http.client.HTTPConnection(self.server.behind, timeout=60)
        sent = {name: value for name, value in self.headers.items() if (fault, name.lower()) != UNKEPT}
        backend.request(self.command, self.path, body, sent)
        response = backend.getresponse()
        data = response.read()
        headers = [pair for pair in response.getheaders() if pair[0].lower() not in _OURS]
        if self.command == "HEAD":
            headers.append(("Content-Length", response.getheader("Content-Length", "0")))
        backend.close()
        if fault == "lost":
            self._hang_up()
            return
        self._answer(response.status, headers, data, half=fault == "half")

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(data) + (half and not data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if half else data)
        if half:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815  # the base class's names


UNKEPT = ("unkept", "if-none-match")
_OURS = {"content-length", "transfer-encoding", "connection"}
