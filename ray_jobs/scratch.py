"""Ingest's first pass: from posts in any order to posts in the plan's order, without holding a corpus in memory.

Every post goes into one of B buckets by the first bits of a keyed hash of its id. Buckets are small enough to sort
one at a time; one after the other they are the whole corpus in hash order. Posts with one id meet in one bucket, so
duplicates are found there. A post's image bytes are read once, here, where they lie inside the source.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from amia.posts import Post, Rejected
from ray_jobs.store import Store

__all__ = ["BucketReader", "Buckets", "Sorted", "bucket_count", "order_key", "segments_of", "sort_bucket"]

MOST_BUCKETS = 1024
BUFFER_BYTES = 256_000_000

ROW = pa.schema(
    {
        "id": pa.string(),
        "split": pa.string(),
        "text": pa.string(),
        "tokens": pa.list_(pa.string()),
        "tags": pa.list_(pa.string()),
        "ner_tags": pa.list_(pa.string()),
        "image": pa.binary(),
        "image_path": pa.string(),
    }
)
KEY = pa.schema(
    {
        "key": pa.binary(16),
        "content": pa.string(),
        "named": pa.bool_(),
        "id": pa.string(),
        "split": pa.string(),
        "where": pa.string(),
        "part": pa.int32(),
        "row": pa.int32(),
    }
)
ORDER = pa.schema({"id": pa.string(), "part": pa.int32(), "row": pa.int32()})


def order_key(seed: int, post_id: str) -> bytes:
    """16 bytes by which posts are ordered: a hash of the id, keyed with the run's seed."""
    return hashlib.blake2b(post_id.encode(), key=seed.to_bytes(8, "little"), digest_size=16).digest()


def bucket_count(source_bytes: int, bucket_bytes: int) -> int:
    """How many buckets a source of that size wants; the plan does not depend on it."""
    return min(MOST_BUCKETS, max(1, -(-source_bytes // bucket_bytes)))


class Buckets:
    """Takes posts in any order; writes each bucket in parts, the largest first, whenever the buffer is full."""

    def __init__(self, store: Store, folder: str, *, seed: int, count: int, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._store, self._folder, self._seed, self.count = store, folder, seed, count
        self._buffer_bytes = buffer_bytes
        self._rows: list[list[dict[str, Any]]] = [[] for _ in range(count)]
        self._keys: list[list[dict[str, Any]]] = [[] for _ in range(count)]
        self._held = [0] * count
        self._total = 0
        self._parts = [0] * count
        self._rejected: list[Rejected] = []
        self._rejected_parts = 0

    def add(self, post: Post, *, named: bool, content: str) -> None:
        """One post; `named` says that the source gave its id, `content` is its content hash."""
        key = order_key(self._seed, post.id)
        bucket = int.from_bytes(key[:4], "big") * self.count >> 32
        place = {"part": self._parts[bucket], "row": len(self._rows[bucket])}
        about = {"id": post.id, "split": post.split}
        self._keys[bucket].append(
            {"key": key, "content": content, "named": named, "where": post.where, **about, **place}
        )
        self._rows[bucket].append(
            {name: getattr(post, name) for name in ("text", "tokens", "tags", "ner_tags", "image", "image_path")}
            | about
        )
        size = 200 + len(post.text) * 3 + len(post.image or b"")
        self._held[bucket] += size
        self._total += size
        while self._total > self._buffer_bytes:
            self._flush(max(range(self.count), key=self._held.__getitem__))

    def reject(self, rejected: Rejected) -> None:
        """One row of the source that is no post."""
        self._rejected.append(rejected)
        if len(self._rejected) >= 10_000:
            self._flush_rejected()

    def flush(self) -> None:
        """Write what is still held."""
        for bucket in range(self.count):
            if self._rows[bucket]:
                self._flush(bucket)
        if self._rejected:
            self._flush_rejected()

    def _flush(self, bucket: int) -> None:
        name = f"{self._folder}/bucket-{bucket:04d}"
        part = self._parts[bucket]
        self._store.create(f"{name}/rows-{part:05d}.arrow", _to_ipc(pa.Table.from_pylist(self._rows[bucket], ROW)))
        self._store.create(f"{name}/keys-{part:05d}.arrow", _to_ipc(pa.Table.from_pylist(self._keys[bucket], KEY)))
        self._rows[bucket], self._keys[bucket] = [], []
        self._total -= self._held[bucket]
        self._held[bucket] = 0
        self._parts[bucket] += 1

    def _flush_rejected(self) -> None:
        lines = "".join(
            json.dumps({"where": each.where, "id": each.id, "reason": each.reason}, ensure_ascii=False) + "\n"
            for each in self._rejected
        )
        self._store.create(f"{self._folder}/quarantine/{self._rejected_parts:05d}.jsonl", lines.encode())
        self._rejected_parts += 1
        self._rejected = []


@dataclass(frozen=True, slots=True)
class Sorted:
    """One bucket in the plan's order."""

    orders: dict[str, list[dict[str, Any]]]
    """Per split: id, part and row of each post."""
    contents: dict[str, list[str]]
    """Per split: content hash of each post, in the same order."""
    duplicates: list[Rejected]


def sort_bucket(store: Store, folder: str, bucket: int) -> Sorted:
    """Order one bucket by key, resolve equal ids, and write the order down for `BucketReader`.

    Of several posts with one id the one with the smallest content hash stays. Posts without an id are named by their
    content hash; identical ones are numbered.
    """
    name = f"{folder}/bucket-{bucket:04d}"
    parts = [key for key in sorted(store.sizes(name)) if "/keys-" in key]
    rows = [row for key in parts for row in _from_ipc(store.read(key)).to_pylist()]
    rows.sort(key=lambda row: (row["key"], not row["named"], row["content"], row["where"]))
    orders: dict[str, list[dict[str, Any]]] = {}
    contents: dict[str, list[str]] = {}
    duplicates: list[Rejected] = []
    last: bytes | None = None
    copies = 0
    for row in rows:
        copies = copies + 1 if row["key"] == last else 0
        last = row["key"]
        if copies and row["named"]:
            duplicates.append(Rejected(where=row["where"], id=row["id"], reason="duplicate id"))
            continue
        post_id = f"{row['id']}-{copies}" if copies else row["id"]
        orders.setdefault(row["split"], []).append({"id": post_id, "part": row["part"], "row": row["row"]})
        contents.setdefault(row["split"], []).append(row["content"])
    for split, order in orders.items():
        store.create(f"{name}/order-{split}.arrow", _to_ipc(pa.Table.from_pylist(order, ORDER)))
    return Sorted(orders, contents, duplicates)


class BucketReader:
    """Reads posts from sorted buckets and keeps the last bucket, since neighbouring shards come from one."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._bucket = -1
        self._parts: dict[int, pa.Table] = {}

    def read(self, bucket: int, split: str, rows: slice) -> pa.Table:
        """Some posts of one split from one bucket, in the plan's order, with their final ids; columns of `ROW`."""
        name = f"{self._folder}/bucket-{bucket:04d}"
        if bucket != self._bucket:
            self._bucket, self._parts = bucket, {}
        order = _from_ipc(self._store.read(f"{name}/order-{split}.arrow")).slice(rows.start, rows.stop - rows.start)
        wanted: dict[int, list[tuple[int, int]]] = {}
        for position, (part, row) in enumerate(zip(order["part"].to_pylist(), order["row"].to_pylist(), strict=True)):
            wanted.setdefault(part, []).append((position, row))
        pieces: list[pa.Table] = []
        positions: list[int] = []
        for part, places in wanted.items():
            if part not in self._parts:
                self._parts[part] = _from_ipc(self._store.read(f"{name}/rows-{part:05d}.arrow"))
            # Part by part: taking from a table of many chunks would first copy the whole bucket into one.
            pieces.append(self._parts[part].take(pa.array([row for _, row in places], pa.int64())))
            positions += [position for position, _ in places]
        back = sorted(range(len(positions)), key=positions.__getitem__)
        return pa.concat_tables(pieces).take(pa.array(back, pa.int64())).set_column(0, "id", order["id"])


def segments_of(counts: Sequence[int], rows: slice) -> Iterator[tuple[int, slice]]:
    """Which buckets hold rows `[start, stop)` of a split, given its count in each: (bucket, rows within it)."""
    start = 0
    for bucket, count in enumerate(counts):
        first, last = max(rows.start, start), min(rows.stop, start + count)
        if first < last:
            yield bucket, slice(first - start, last - start)
        start += count


def _to_ipc(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _from_ipc(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
