"""Ingest's first pass: from posts in any order to posts in the plan's order, without holding a corpus in memory.

Every post goes into one of B buckets by the first bits of a keyed hash of its id. BucketWriter are small enough to sort
one at a time; one after the other they are the whole corpus in hash order. Posts with one id meet in one bucket, so
duplicates are found there. A post's image bytes are read once, here, where they lie inside the source.

    scratch/<name>/bucket-0003/rows-train-00000.arrow    posts of one bucket and split, as they came, in parts
                               keys-train-00000.arrow    what they are sorted by, row for row
                               order-train.arrow         where each post of the plan's order lies: part and row
                   quarantine/00000.jsonl                what is no post
"""

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amia.errors import StoreError
from amia.posts import Post, Rejected
from ray_jobs.storage.store import Store

__all__ = [
    "BucketReader",
    "BucketWriter",
    "SortedBucket",
    "bucket_count",
    "bucket_slices",
    "order_file",
    "order_key",
    "sort_bucket",
]

MAX_BUCKETS = 1024
UNKNOWN_BUCKETS = 64
"""Of a source that does not say how large it is."""
BUFFER_BYTES = 256_000_000
"""Posts held in memory before the largest part is written."""
PART_BYTES = 24_000_000
"""A part is written when it holds so much, however much room there is: writing takes the part's size once more."""
FETCH_BYTES = 4_000_000
"""Of a part, fetched in one request."""

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
        "named": pa.bool_(),
        "content": pa.string(),
        "where": pa.string(),
        "id": pa.string(),
        "split": pa.string(),
        "part": pa.int32(),
        "row": pa.int32(),
    }
)


def order_key(seed: int, post_id: str) -> bytes:
    """16 bytes by which posts are ordered: a hash of the id, keyed with the run's seed."""
    return blake2b(post_id.encode(), key=seed.to_bytes(8, "little"), digest_size=16).digest()


def bucket_count(source_bytes: int | None, bucket_bytes: int) -> int:
    """How many buckets a source of that size wants (None: it does not say); the plan does not depend on it."""
    if source_bytes is None:
        return UNKNOWN_BUCKETS
    return min(MAX_BUCKETS, max(1, -(-source_bytes // bucket_bytes)))


class BucketWriter:
    """Takes posts in any order and writes each bucket's posts of one split in parts.

    A part is written when it is full, or when it is the largest and the buffer is full: memory stays bounded by
    `buffer_bytes`, however many posts come.
    """

    def __init__(
        self,
        store: Store,
        folder: str,
        *,
        seed: int,
        count: int,
        buffer_bytes: int = BUFFER_BYTES,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._store, self._folder, self._seed, self.count = store, folder, seed, count
        self._buffer_bytes, self._part_bytes = buffer_bytes, part_bytes
        self._posts: dict[tuple[int, str], list[Post]] = {}
        self._keys: dict[tuple[int, str], list[dict[str, Any]]] = {}
        self._held: Counter[tuple[int, str]] = Counter()
        self._total = 0
        self._parts: Counter[tuple[int, str]] = Counter()
        self._rejected: list[Rejected] = []
        self._rejected_parts = 0

    def add(self, post: Post, *, named: bool, content: str) -> None:
        """One post; `named` says that the source gave its id, `content` is its content hash."""
        key = order_key(self._seed, post.id)
        place = int.from_bytes(key[:4], "big") * self.count >> 32, post.split
        posts = self._posts.setdefault(place, [])
        about = {"where": post.where, "id": post.id, "split": post.split}
        self._keys.setdefault(place, []).append(
            {"key": key, "named": named, "content": content, **about, "part": self._parts[place], "row": len(posts)}
        )
        posts.append(post)
        size = _size(post)
        self._held[place] += size
        self._total += size
        if self._held[place] > self._part_bytes:
            self._flush(place)
        while self._total > self._buffer_bytes:
            self._flush(max(self._held, key=self._held.__getitem__))

    def reject(self, rejected: Rejected) -> None:
        """One row of the source that is no post."""
        self._rejected.append(rejected)
        if len(self._rejected) >= 10_000:
            self._flush_rejected()

    def flush(self) -> None:
        """Write what is still held."""
        for place in list(self._posts):
            self._flush(place)
        if self._rejected:
            self._flush_rejected()

    def sort(self, bucket: int) -> "SortedBucket":
        """`sort_bucket`, when every part has been written. Raises StoreError when another hand has removed some."""
        parts = sum(count for (each, _), count in self._parts.items() if each == bucket)
        return sort_bucket(self._store, self._folder, bucket, parts=parts)

    def _flush(self, place: tuple[int, str]) -> None:
        bucket, split = place
        part = self._parts[place]
        posts, keys = self._posts.pop(place), self._keys.pop(place)
        rows = pa.table([[getattr(post, name) for post in posts] for name in ROW.names], schema=ROW)
        for kind, table in (("rows", rows), ("keys", pa.Table.from_pylist(keys, KEY))):
            self._store.create(f"{_folder(self._folder, bucket)}/{kind}-{split}-{part:05d}.arrow", _to_ipc(table))
        self._parts[place] += 1
        self._total -= self._held.pop(place)

    def _flush_rejected(self) -> None:
        lines = "".join(
            json.dumps({"where": each.where, "id": each.id, "reason": each.reason}, ensure_ascii=False) + "\n"
            for each in self._rejected
        )
        self._store.create(f"{self._folder}/quarantine/{self._rejected_parts:05d}.jsonl", lines.encode())
        self._rejected_parts += 1
        self._rejected = []


@dataclass(frozen=True, slots=True)
class SortedBucket:
    """One bucket in the plan's order."""

    orders: dict[str, pa.Table]
    """Per split, a row a post: `id` (final), `part`, `row`, and `content`, its content hash."""
    duplicates: list[Rejected]


def sort_bucket(store: Store, folder: str, bucket: int, *, parts: int) -> SortedBucket:
    """Order one bucket of `parts` parts by key, resolve equal ids, and write the order down for `BucketReader`.

    Of several posts with one id the one with the smallest content hash stays. Posts without an id are named by their
    content hash; identical ones are numbered.
    """
    name = _folder(folder, bucket)
    files = [key for key in sorted(store.list(name)) if key.startswith(f"{name}/keys-")]
    if len(files) != parts:
        raise StoreError(
            f"{name} in {store.address} holds {len(files)} of the {parts} parts that were written: another ingest has "
            "finished and tidied up. Start the same command again"
        )
    table = pa.concat_tables([KEY.empty_table(), *(_from_ipc(store.read(key)) for key in files)])
    ways = [("key", "ascending"), ("named", "descending"), ("content", "ascending"), ("where", "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=ways)).combine_chunks()
    rows = np.arange(table.num_rows)
    again = np.zeros(table.num_rows, bool)  # stands after another of the same key
    again[1:] = pc.equal(table["key"].slice(1), table["key"].slice(0, max(0, table.num_rows - 1))).to_numpy()
    copy = rows - np.maximum.accumulate(np.where(again, 0, rows))
    named = table["named"].to_numpy()
    duplicates = [
        Rejected(where=row["where"], id=row["id"], reason="duplicate id")
        for row in table.select(["where", "id"]).filter(pa.array(again & named)).to_pylist()
    ]
    numbered = again & ~named
    ids = table["id"].combine_chunks()
    renamed = [f"{ids[row].as_py()}-{copy[row]}" for row in rows[numbered]]
    ids = pc.replace_with_mask(ids, pa.array(numbered), pa.array(renamed, pa.string()))
    table = table.set_column(table.schema.get_field_index("id"), "id", ids).filter(pa.array(~again | numbered))
    orders: dict[str, pa.Table] = {}
    for split in sorted(pc.unique(table["split"]).to_pylist()):
        of_split = table.filter(pc.equal(table["split"], split))
        store.create(order_file(folder, bucket, split), _to_ipc(of_split.select(["id", "part", "row"])))
        orders[split] = of_split.select(["id", "part", "row", "content"])
    return SortedBucket(orders, duplicates)


class BucketReader:
    """Reads posts from sorted buckets and keeps the last one, since neighboring shards come from one bucket."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._place: tuple[int, str] | None = None
        self._order: pa.Table | None = None
        self._parts: dict[int, pa.Table] = {}

    def read(self, bucket: int, split: str, rows: slice) -> list[dict[str, Any]]:
        """Posts `[start, stop)` of one split in one bucket, in the plan's order, with their final ids; names of `ROW`.

        Other splits of the bucket are not touched, so a rare split does not cost a whole corpus.
        """
        name = _folder(self._folder, bucket)
        if self._order is None or self._place != (bucket, split):
            self._order, self._parts = None, {}  # let go before the next is fetched
            self._order = _from_ipc(_fetched(self._store, order_file(self._folder, bucket, split)))
            self._place = bucket, split
        order = self._order.slice(rows.start, rows.stop - rows.start).to_pylist()
        places: dict[int, list[int]] = {}
        for position, row in enumerate(order):
            places.setdefault(row["part"], []).append(position)
        found: list[dict[str, Any]] = [{}] * len(order)
        for part, positions in places.items():
            if part not in self._parts:
                self._parts[part] = _from_ipc(_fetched(self._store, f"{name}/rows-{split}-{part:05d}.arrow"))
            # Part by part: taking from a table of many chunks would first copy the whole bucket into one.
            taken = self._parts[part].take(pa.array([order[position]["row"] for position in positions], pa.int64()))
            for position, post in zip(positions, taken.to_pylist(), strict=True):
                found[position] = post | {"id": order[position]["id"]}
        return found


def bucket_slices(counts: Sequence[int], rows: slice) -> Iterator[tuple[int, slice]]:
    """Which buckets hold rows `[start, stop)` of a split, given its count in each: (bucket, rows within it)."""
    start = 0
    for bucket, count in enumerate(counts):
        first, last = max(rows.start, start), min(rows.stop, start + count)
        if first < last:
            yield bucket, slice(first - start, last - start)
        start += count


def _size(post: Post) -> int:
    """Bytes that a post and its key take in memory, roughly: each token and tag is a string of its own."""
    return 1_500 + 2 * len(post.text) + 180 * len(post.tokens or ()) + len(post.image or b"")


def order_file(scratch: str, bucket: int, split: str) -> str:
    """The key of the last file that is written for a bucket's posts of one split."""
    return f"{_folder(scratch, bucket)}/order-{split}.arrow"


def _folder(scratch: str, bucket: int) -> str:
    return f"{scratch}/bucket-{bucket:04d}"


def _to_ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _fetched(store: Store, key: str) -> pa.Buffer:
    """A key's content in Arrow's own memory.

    As `bytes` it would lie in the C heap, which keeps the holes that buckets leave: an actor would grow with each.
    """
    with store.open(key) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        data = pa.allocate_buffer(size)
        with memoryview(data).cast("B") as view:
            for start in range(0, size, FETCH_BYTES):
                piece = file.read(FETCH_BYTES)
                view[start : start + len(piece)] = piece
    return data


def _from_ipc(data: bytes | pa.Buffer) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
