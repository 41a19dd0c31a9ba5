"""A hub of models on this machine, as far as `huggingface_hub` needs it to download one: real requests, small files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["FakeHub", "fake_hub"]

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    """A running hub with one model."""

    endpoint: str
    model: str
    folder: Path
    refusals: int
    """Requests to each path that are answered by status 429 before the first real answer."""
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and status of every request so far."""


@contextmanager
def fake_hub(model: str, folder: Path, *, refusals: int) -> Iterator[FakeHub]:
    """Serve the files of a folder as the newest commit of a model."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = FakeHub(f"http://127.0.0.1:{server.server_address[1]}", model, folder, refusals)
    server.hub = hub  # type: ignore[attr-defined]  # read by its handlers
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def _serve(self) -> None:
        hub: FakeHub = self.server.hub
        path = self.path.partition("?")[0]
        refused = sum(1 for _, other, status in hub.requests if other == path and status == 429)
        if refused < hub.refusals:
            self._answer(429, b"{}", {"Retry-After": "0"})
        elif path.startswith(f"/api/models/{hub.model}"):
            self._answer(200, json.dumps(self._describe(hub, path)).encode(), {"Content-Type": "application/json"})
        else:
            file = hub.folder / path.rpartition(f"/resolve/{COMMIT}/")[2]
            if not file.is_file():
                self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            data = file.read_bytes()
            self._answer(200, data, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'})

    def _describe(self, hub: FakeHub, path: str) -> Any:
        files = sorted(file for file in hub.folder.rglob("*") if file.is_file())
        names = [file.relative_to(hub.folder).as_posix() for file in files]
        if "/tree/" in path:
            return [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40}
                for name, file in zip(names, files, strict=True)
            ]
        return {"id": hub.model, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names], "tags": []}

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.server.hub.requests.append((self.command, self.path.partition("?")[0], status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = _serve  # noqa: N815  # the base class's names
