"""What a driver has in work, told in its run while it works, so that `amia status` sees it from any machine.

A small file `log/<driver>-running.json`, written anew every few seconds by a thread of the driver, never by an actor,
and removed when the execution ends. One that is old tells of a driver that was killed.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from amia.errors import StoreError
from ray_jobs.storage.store import Store

__all__ = ["END", "EVERY_S", "SILENT_S", "Heartbeat", "HeartbeatRecord", "read_heartbeats"]

EVERY_S = 10.0
SILENT_S = 60.0
"""A driver that has not been heard of for so long is taken for dead."""

PATIENCE_S = 20.0

END = "-running.json"
"""How the keys of heartbeats end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatRecord:
    """What a driver tells of its execution."""

    host: str
    pid: int
    started: float
    """Of the execution, in seconds since 1970 by the driver's clock."""
    working: Mapping[str, Sequence[str]]
    """By folder of the run, the shards that actors have taken up and not yet told the driver to be published."""


class Heartbeat:
    """Tells while a block of code runs: `with Heartbeat(store, "20260101T000000-node1-42", tell): ...`.

    `tell` is asked again and again; None: there is nothing to say this time. That the storage fails is not the job's
    concern: whoever looks sees the silence.
    """

    def __init__(
        self, store: Store, driver: str, tell: Callable[[], HeartbeatRecord | None], every_s: float = EVERY_S
    ) -> None:
        self._store, self._key, self._tell, self._every_s = store, f"log/{driver}{END}", tell, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=PATIENCE_S)  # storage that hangs must not hold up the job's own error

    def _beat(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(StoreError):
                if (beat := self._tell()) is not None:
                    self._store.replace(self._key, json.dumps(asdict(beat)).encode())
            self._stop.wait(self._every_s)
        with contextlib.suppress(StoreError):
            self._store.remove([self._key])


def read_heartbeats(store: Store) -> dict[str, tuple[HeartbeatRecord, float]]:
    """The last word of every driver whose execution has not ended properly, and when it was written; by key."""
    found: dict[str, tuple[HeartbeatRecord, float]] = {}
    for key, about in store.list("log").items():
        if key.endswith(END):
            # It may end between the listing and this; and a file of that name may be anybody's.
            with contextlib.suppress(StoreError, ValueError, TypeError):
                found[key] = HeartbeatRecord(**json.loads(store.read(key))), about.modified
    return found
