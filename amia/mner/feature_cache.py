"""Features of images on disk: a frozen backbone sees each image once, not once an epoch.

SQLite, since several workers of one machine may read and write it at the same time, and what a killed one left half
written is not there.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

__all__ = ["FeatureCache"]

_MANY = 500
"""Keys a query."""


class FeatureCache:
    """Bytes by key, up to a limit; what exceeds it is not kept."""

    def __init__(self, path: Path, limit: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        # What a crash of the machine loses is computed again.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._base.execute(f"PRAGMA {pragma}")
        self._base.execute("CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, value BLOB)")
        self._limit = limit
        """Bytes."""

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those of the keys that are here."""
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), _MANY):
            some = keys[start : start + _MANY]
            places = ",".join("?" * len(some))
            query = f"SELECT key, value FROM features WHERE key IN ({places})"  # noqa: S608  # only question marks
            found.update(self._base.execute(query, some))
        return found

    def put(self, values: Mapping[str, bytes]) -> None:
        """Keep these too, as far as the limit allows."""
        pages, size = (self._base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if pages * size + sum(map(len, values.values())) <= self._limit:
            try:
                self._base.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", values.items())
            except sqlite3.OperationalError:  # the disk is full, or another's lock does not end: what lacks is computed
                self._limit = 0

    def close(self) -> None:
        """Give the file back."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
