"""External sort of `amia ingest`: from posts in any order to posts in the order of the plan, in bounded memory.

Each post goes into one of B buckets by the first bits of a keyed hash of its id. Each bucket is small enough to be
sorted in memory; concatenated, the sorted buckets are the corpus in hash order. Posts with equal ids share a bucket,
which is where duplicates are found. Images inside the source are read once, here.

    scratch/<name>/bucket-0003/rows-train-00000.arrow    posts of one bucket and split in input order, in parts
                               keys-train-00000.arrow    the sort keys of these posts, row for row
                               order-train.arrow         location of each post in the order of the plan: part and row
                   quarantine/00000.jsonl                rows that are not posts
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
from ray_jobs.storage.layout import QUARANTINE
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
"""Buckets of a source of unknown size."""
BUFFER_BYTES = 256_000_000
"""Size of the posts held in memory above which the largest part is written."""
PART_BYTES = 24_000_000
"""Size above which a part is written even if there is room: writing needs the size of the part once more."""
FETCH_BYTES = 4_000_000
"""Bytes of a part that one request fetches."""
MAX_REJECTED = 10_000
"""Rejected rows held in memory."""

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
        "has_source_id": pa.bool_(),
        "content": pa.string(),
        "location": pa.string(),
        "id": pa.string(),
        "split": pa.string(),
        "part": pa.int32(),
        "row": pa.int32(),
    }
)
SORT_KEYS = [("key", "ascending"), ("has_source_id", "descending"), ("content", "ascending"), ("location", "ascending")]


def order_key(seed: int, post_id: str) -> bytes:
    """Return the 16 bytes by which posts are ordered: a hash of the id, keyed with the run's seed."""
    return blake2b(post_id.encode(), key=seed.to_bytes(8, "little"), digest_size=16).digest()


def bucket_count(source_bytes: int | None, bucket_bytes: int) -> int:
    """Return the number of buckets for a source of a size (None: unknown). The plan does not depend on it."""
    if source_bytes is None:
        return UNKNOWN_BUCKETS
    return min(MAX_BUCKETS, max(1, -(-source_bytes // bucket_bytes)))


class BucketWriter:
    """Takes posts in any order and writes the posts of each bucket and split in parts.

    A part is written when it is full, or when it is the largest and the buffer is full: `buffer_bytes` bounds the
    memory for any number of posts.
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
        self._bytes: Counter[tuple[int, str]] = Counter()
        self._total_bytes = 0
        self._parts: Counter[tuple[int, str]] = Counter()
        self._rejected: list[Rejected] = []
        self._rejected_parts = 0

    def add(self, post: Post, *, has_source_id: bool, content: str) -> None:
        """Add a post. `has_source_id`: whether the source gave its id; `content`: its content hash."""
        key = order_key(self._seed, post.id)
        bucket_split = int.from_bytes(key[:4], "big") * self.count >> 32, post.split
        posts = self._posts.setdefault(bucket_split, [])
        self._keys.setdefault(bucket_split, []).append(
            {
                "key": key,
                "has_source_id": has_source_id,
                "content": content,
                "location": post.location,
                "id": post.id,
                "split": post.split,
                "part": self._parts[bucket_split],
                "row": len(posts),
            }
        )
        posts.append(post)
        size = _memory_bytes(post)
        self._bytes[bucket_split] += size
        self._total_bytes += size
        if self._bytes[bucket_split] > self._part_bytes:
            self._flush_part(bucket_split)
        while self._total_bytes > self._buffer_bytes:
            self._flush_part(max(self._bytes, key=self._bytes.__getitem__))

    def reject(self, rejected: Rejected) -> None:
        """Add a row of the source that is not a post."""
        self._rejected.append(rejected)
        if len(self._rejected) >= MAX_REJECTED:
            self._flush_rejected()

    def flush(self) -> None:
        """Write everything that is held in memory."""
        for bucket_split in list(self._posts):
            self._flush_part(bucket_split)
        if self._rejected:
            self._flush_rejected()

    def sort(self, bucket: int) -> "SortedBucket":
        """Run `sort_bucket` after `flush`. Raises StoreError if parts were removed by another process."""
        parts = sum(count for (part_bucket, _), count in self._parts.items() if part_bucket == bucket)
        return sort_bucket(self._store, self._folder, bucket, parts=parts)

    def _flush_part(self, bucket_split: tuple[int, str]) -> None:
        bucket, split = bucket_split
        part = self._parts[bucket_split]
        posts, keys = self._posts.pop(bucket_split), self._keys.pop(bucket_split)
        rows = pa.table([[getattr(post, name) for post in posts] for name in ROW.names], schema=ROW)
        for kind, table in (("rows", rows), ("keys", pa.Table.from_pylist(keys, KEY))):
            key = f"{_bucket_folder(self._folder, bucket)}/{kind}-{split}-{part:05d}.arrow"
            self._store.create(key, _to_ipc(table))
        self._parts[bucket_split] += 1
        self._total_bytes -= self._bytes.pop(bucket_split)

    def _flush_rejected(self) -> None:
        lines = "".join(
            json.dumps({"where": row.location, "id": row.id, "reason": row.reason}, ensure_ascii=False) + "\n"
            for row in self._rejected
        )
        self._store.create(f"{self._folder}/{QUARANTINE}/{self._rejected_parts:05d}.jsonl", lines.encode())
        self._rejected_parts += 1
        self._rejected = []


@dataclass(frozen=True, slots=True)
class SortedBucket:
    """One bucket in the order of the plan."""

    orders: dict[str, pa.Table]
    """By split, one row per post: `id` (final), `part`, `row`, and `content`, its content hash."""
    duplicates: list[Rejected]


def sort_bucket(store: Store, folder: str, bucket: int, *, parts: int) -> SortedBucket:
    """Sort one bucket of `parts` parts by key, resolve equal ids, and write the order for `BucketReader`.

    Of several posts with one id the one with the smallest content hash is kept. Posts without an id are named after
    their content hash; identical ones are numbered. Raises StoreError if parts are missing.
    """
    name = _bucket_folder(folder, bucket)
    files = [key for key in sorted(store.list(name)) if key.startswith(f"{name}/keys-")]
    if len(files) != parts:
        raise StoreError(
            f"{name} in {store.address} has {len(files)} of the {parts} parts that were written: another ingest has "
            "finished and removed them. Start the same command again"
        )
    table = pa.concat_tables([KEY.empty_table(), *(_from_ipc(store.read(key)) for key in files)])
    table = table.take(pc.sort_indices(table, sort_keys=SORT_KEYS)).combine_chunks()
    rows = np.arange(table.num_rows)
    is_repeat = np.zeros(table.num_rows, bool)  # has the same key as the row before
    is_repeat[1:] = pc.equal(table["key"].slice(1), table["key"].slice(0, max(0, table.num_rows - 1))).to_numpy()
    copy = rows - np.maximum.accumulate(np.where(is_repeat, 0, rows))  # 0 for the first row of each key
    has_source_id = table["has_source_id"].to_numpy()
    duplicates = [
        Rejected(location=row["location"], id=row["id"], reason="duplicate id")
        for row in table.select(["location", "id"]).filter(pa.array(is_repeat & has_source_id)).to_pylist()
    ]
    is_numbered = is_repeat & ~has_source_id
    ids = table["id"].combine_chunks()
    numbered_ids = [f"{ids[row].as_py()}-{copy[row]}" for row in rows[is_numbered]]
    ids = pc.replace_with_mask(ids, pa.array(is_numbered), pa.array(numbered_ids, pa.string()))
    table = table.set_column(table.schema.get_field_index("id"), "id", ids).filter(pa.array(~is_repeat | is_numbered))
    orders: dict[str, pa.Table] = {}
    for split in sorted(pc.unique(table["split"]).to_pylist()):
        order = table.filter(pc.equal(table["split"], split))
        store.create(order_file(folder, bucket, split), _to_ipc(order.select(["id", "part", "row"])))
        orders[split] = order.select(["id", "part", "row", "content"])
    return SortedBucket(orders, duplicates)


class BucketReader:
    """Reads posts from sorted buckets and caches the last bucket, since consecutive shards share buckets."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._bucket_split: tuple[int, str] | None = None
        self._order: pa.Table | None = None
        self._parts: dict[int, pa.Table] = {}

    def read(self, bucket: int, split: str, rows: slice) -> list[dict[str, Any]]:
        """Return posts `[start, stop)` of one split in one bucket in the order of the plan, with the columns of `ROW`.

        Ids are final. Other splits of the bucket are not read, so a small split does not cost a whole corpus.
        """
        name = _bucket_folder(self._folder, bucket)
        if self._order is None or self._bucket_split != (bucket, split):
            self._order, self._parts = None, {}  # free the memory before the next bucket is fetched
            self._order = _from_ipc(_fetch_buffer(self._store, order_file(self._folder, bucket, split)))
            self._bucket_split = bucket, split
        order = self._order.slice(rows.start, rows.stop - rows.start).to_pylist()
        positions_by_part: dict[int, list[int]] = {}
        for position, row in enumerate(order):
            positions_by_part.setdefault(row["part"], []).append(position)
        posts: list[dict[str, Any]] = [{}] * len(order)
        for part, positions in positions_by_part.items():
            if part not in self._parts:
                self._parts[part] = _from_ipc(_fetch_buffer(self._store, f"{name}/rows-{split}-{part:05d}.arrow"))
            # Part by part: `take` of a table with many chunks would first copy the whole bucket into one chunk.
            selected = self._parts[part].take(pa.array([order[position]["row"] for position in positions], pa.int64()))
            for position, post in zip(positions, selected.to_pylist(), strict=True):
                posts[position] = post | {"id": order[position]["id"]}
        return posts


def bucket_slices(counts: Sequence[int], rows: slice) -> Iterator[tuple[int, slice]]:
    """Yield the buckets that hold rows `[start, stop)` of a split, with the rows within each bucket.

    `counts`: rows of the split in each bucket.
    """
    start = 0
    for bucket, count in enumerate(counts):
        first, last = max(rows.start, start), min(rows.stop, start + count)
        if first < last:
            yield bucket, slice(first - start, last - start)
        start += count


def order_file(scratch: str, bucket: int, split: str) -> str:
    """Return the key of the order of one bucket and split, which is written last."""
    return f"{_bucket_folder(scratch, bucket)}/order-{split}.arrow"


def _bucket_folder(scratch: str, bucket: int) -> str:
    return f"{scratch}/bucket-{bucket:04d}"


def _memory_bytes(post: Post) -> int:
    """Return the approximate size of a post and its key in memory. Each token and tag is a separate string."""
    return 1_500 + 2 * len(post.text) + 180 * len(post.tokens or ()) + len(post.image or b"")


def _to_ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _from_ipc(data: bytes | pa.Buffer) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def _fetch_buffer(store: Store, key: str) -> pa.Buffer:
    """Read a key into memory of Arrow's allocator.

    `bytes` are allocated on the C heap, which fragments from bucket to bucket, so that the actor would keep growing.
    """
    with store.open(key) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        data = pa.allocate_buffer(size)
        with memoryview(data).cast("B") as view:
            for start in range(0, size, FETCH_BYTES):
                chunk = file.read(FETCH_BYTES)
                view[start : start + len(chunk)] = chunk
    return data
