"""A faulty proxy in front of a local S3: overloaded, with broken or without responses.

A schedule (`always`, `once`, `seeded`) decides which request meets which fault, so that tests are reproducible.
"""

import http.client
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Fault", "FaultyS3", "always", "faulty_s3", "never", "once", "seeded"]

Fault = str | None
"""Kind of fault:

- `503`, `slow_down`: an error response of S3 without executing the request.
- `denied`, `expired`: an error response for which a retry is useless.
- `dropped`: the connection is closed before the request is read.
- `lost`: the request is executed, but there is no response.
- `half`: the response ends in the middle.
- `unconditional`: the condition of a create is ignored, as by stores without conditional writes.
- None: no fault.
"""
Schedule = Callable[[str, str], Fault]

ERROR_RESPONSES = {
    "503": (503, "ServiceUnavailable", "Service is unable to handle request."),
    "slow_down": (503, "SlowDown", "Please reduce your request rate."),
    "denied": (403, "AccessDenied", "Access Denied"),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
}


def never(method: str, path: str) -> Fault:
    """Schedule without faults."""
    return None


def always(fault: Fault, *methods: str) -> Schedule:
    """Return a schedule with the fault for every request of these methods, by default all."""
    return lambda method, path: fault if not methods or method in methods else None


def once(fault: Fault, method: str, part: str = "", times: int = 1) -> Schedule:
    """Return a schedule with the fault for the first `times` requests of a method whose path contains `part`."""
    remaining = [times]

    def schedule(request_method: str, path: str) -> Fault:
        if request_method != method or part not in path or not remaining[0]:
            return None
        remaining[0] -= 1
        return fault

    return schedule


def seeded(seed: int, share: float, *faults: str) -> Schedule:
    """Return a schedule in which that share of all requests meets a random fault, in the order of the requests."""
    rng, lock = random.Random(seed), threading.Lock()

    def schedule(method: str, path: str) -> Fault:
        with lock:
            return rng.choice(faults) if rng.random() < share else None

    return schedule


@dataclass
class FaultyS3:
    """A running proxy."""

    endpoint: str
    backend: str
    """Endpoint of the S3 behind the proxy."""
    schedule: Schedule = never
    backend_s: float = 0.0
    """Seconds that the S3 itself took, over all requests."""
    requests: list[tuple[str, str, Fault]] = field(default_factory=list)
    """Method, path and fault of every request so far."""

    def faults(self) -> list[Fault]:
        """Return the faults so far."""
        return [fault for _, _, fault in self.requests if fault]


@contextmanager
def faulty_s3(backend: str) -> Iterator[FaultyS3]:
    """Start a proxy on a free port in front of the S3 at the URL `backend`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    proxy = FaultyS3(f"http://127.0.0.1:{server.server_address[1]}", backend)
    server.backend, server.proxy = urlsplit(backend).netloc, proxy  # type: ignore[attr-defined]  # read by its handlers
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
        """Print nothing."""

    def _serve(self) -> None:
        fault = self.server.proxy.schedule(self.command, self.path)
        self.server.proxy.requests.append((self.command, self.path, fault))
        if fault == "dropped":
            self._close()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault in ERROR_RESPONSES:
            status, code, message = ERROR_RESPONSES[fault]
            key = self.headers.get("Authorization", "")
            text = f"<Error><Code>{code}</Code><Message>{message}</Message><Echo>{key}</Echo></Error>".encode()
            self._respond(status, [("Content-Type", "application/xml")], text)
            return
        backend = http.client.HTTPConnection(self.server.backend, timeout=60)
        request_headers = {name: value for name, value in self.headers.items() if (fault, name.lower()) != CONDITION}
        begun = time.monotonic()
        backend.request(self.command, self.path, body, request_headers)
        response = backend.getresponse()
        data = response.read()
        self.server.proxy.backend_s += time.monotonic() - begun
        headers = [pair for pair in response.getheaders() if pair[0].lower() not in HOP_HEADERS]
        if self.command == "HEAD":
            headers.append(("Content-Length", response.getheader("Content-Length", "0")))
        backend.close()
        if fault == "lost":
            self._close()
            return
        self._respond(response.status, headers, data, half=fault == "half")

    def _respond(self, status: int, headers: list[tuple[str, str]], data: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(data) + (half and not data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if half else data)
        if half:
            self._close()

    def _close(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815  # the base class's names


CONDITION = ("unconditional", "if-none-match")
HOP_HEADERS = {"content-length", "transfer-encoding", "connection"}
