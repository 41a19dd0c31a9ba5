"""Sorted hashes of the posts that a run holds, for runs that come after it (`amia ingest --since`).

    index/<name>/keys-0003.bin      key and content hash of each post of a bucket, by key
                 bodies-0003.bin    body hash of each post of the same bucket, by hash

A file holds records of one width, sorted by their first `HASH_BYTES` bytes, after a table of where each of `RANGES`
equal ranges of hashes begins. A range is read by two requests, and memory does not grow with the run.
"""

import numpy as np
from numpy.typing import NDArray

from ray_jobs.storage.store import Store

__all__ = ["HASH_BYTES", "RANGES", "Hashes", "encode_hashes", "find", "is_in", "read_hashes"]

HASH_BYTES = 16
RANGES = 256
"""Ranges of a file, by the first byte of a hash."""
_HEADER_BYTES = 8 * (RANGES + 1)

Hashes = NDArray[np.bytes_]
"""Hashes `[n]`, of `HASH_BYTES` bytes each. NumPy hides their trailing zeros; equality and order are those of bytes."""


def encode_hashes(hashes: Hashes, payload: Hashes | None = None) -> bytes:
    """Return the file of some hashes, which are sorted here; each is followed by its `payload` if there is one."""
    order = np.argsort(hashes, kind="stable")
    records = _as_bytes(hashes[order])
    starts = np.searchsorted(records[:, 0], np.arange(RANGES + 1)).astype("<u8")
    if payload is not None:
        records = np.concatenate([records, _as_bytes(payload[order])], axis=1)
    return starts.tobytes() + records.tobytes()


def read_hashes(store: Store, key: str, low: int, high: int, *, width: int = HASH_BYTES) -> tuple[Hashes, Hashes]:
    """Read the hashes whose first byte is in `[low, high)` from a file with records of `width` bytes.

    Returns the hashes in ascending order, and what follows each of them (empty strings if nothing does). Raises
    StoreError if the file does not exist.
    """
    starts = np.frombuffer(store.read_range(key, 0, _HEADER_BYTES), "<u8")
    first, last = int(starts[low]), int(starts[high])
    if first == last:
        return np.empty(0, f"S{HASH_BYTES}"), np.empty(0, f"S{HASH_BYTES}")
    data = store.read_range(key, _HEADER_BYTES + first * width, _HEADER_BYTES + last * width)
    records = np.frombuffer(data, np.uint8).reshape(-1, width)
    hashes = np.ascontiguousarray(records[:, :HASH_BYTES]).view(f"S{HASH_BYTES}").ravel()
    if width == HASH_BYTES:
        return hashes, np.zeros(len(hashes), f"S{HASH_BYTES}")
    return hashes, np.ascontiguousarray(records[:, HASH_BYTES:]).view(f"S{width - HASH_BYTES}").ravel()


def find(hashes: Hashes, ascending: Hashes) -> NDArray[np.int64]:
    """Return the position of each hash in an ascending array, -1 where it is missing."""
    if not len(ascending):
        return np.full(len(hashes), -1)
    position = np.searchsorted(ascending, hashes)
    position[position == len(ascending)] = 0
    return np.where(ascending[position] == hashes, position, -1)


def is_in(hashes: Hashes, ascending: Hashes) -> NDArray[np.bool_]:
    """Return for each hash whether an ascending array holds it."""
    return find(hashes, ascending) >= 0


def _as_bytes(hashes: Hashes) -> NDArray[np.uint8]:
    """Return hashes `[n]` as bytes `[n, width]`."""
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), hashes.itemsize)
