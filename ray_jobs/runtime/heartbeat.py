"""Heartbeats of drivers: which shards they have in progress, in the run itself, so that `amia status` works anywhere.

A heartbeat is a small file `log/<driver>-running.json` that a thread of the driver rewrites every few seconds and
removes at the end of the execution. A stale heartbeat belongs to a driver that was killed.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from amia.errors import StoreError
from ray_jobs.storage.layout import LOG
from ray_jobs.storage.store import Store

__all__ = ["HEARTBEAT_SUFFIX", "INTERVAL_S", "TIMEOUT_S", "Heartbeat", "HeartbeatRecord", "read_heartbeats"]

INTERVAL_S = 10.0
TIMEOUT_S = 60.0
"""Age of a heartbeat after which its driver is considered dead."""
JOIN_TIMEOUT_S = 20.0
HEARTBEAT_SUFFIX = "-running.json"
"""End of the keys of heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatRecord:
    """Content of a heartbeat."""

    host: str
    pid: int
    started: float
    """Start of the execution in seconds since 1970, by the driver's clock."""
    working: Mapping[str, Sequence[str]]
    """By folder of the run, the shards that actors have started and not yet reported as published."""


class Heartbeat:
    """Writes a heartbeat while a block runs: `with Heartbeat(store, "20260101T000000-node1-42", get_record): ...`.

    `get_record` is called for each heartbeat; one is skipped if it returns None. Storage errors are ignored: a stale
    heartbeat means a dead driver.
    """

    def __init__(
        self,
        store: Store,
        driver: str,
        get_record: Callable[[], HeartbeatRecord | None],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._store, self._key = store, f"{LOG}/{driver}{HEARTBEAT_SUFFIX}"
        self._get_record, self._interval_s = get_record, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=JOIN_TIMEOUT_S)  # a hanging storage must not delay the error of the job

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(StoreError):
                if (record := self._get_record()) is not None:
                    self._store.replace(self._key, json.dumps(asdict(record)).encode())
            self._stop.wait(self._interval_s)
        with contextlib.suppress(StoreError):
            self._store.remove([self._key])


def read_heartbeats(store: Store) -> dict[str, tuple[HeartbeatRecord, float]]:
    """Return by key the last heartbeat of every driver whose execution has not ended, and the time it was written."""
    heartbeats: dict[str, tuple[HeartbeatRecord, float]] = {}
    for key, info in store.list(LOG).items():
        if key.endswith(HEARTBEAT_SUFFIX):
            # The execution may end between listing and reading, and the file may not be amia's.
            with contextlib.suppress(StoreError, ValueError, TypeError):
                heartbeats[key] = HeartbeatRecord(**json.loads(store.read(key))), info.modified
    return heartbeats
