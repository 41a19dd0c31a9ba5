"""External sort of `amia ingest`: from posts in any order to posts in the order of the plan, in bounded memory.

Each post is in one of B buckets by the first bits of a keyed hash of its id (`split_files.py`). Each bucket is small
enough that its keys are sorted in memory; concatenated, the sorted buckets are the corpus in hash order. Posts with
equal ids share a bucket, which is where duplicates are found. The images of the source stay in the parts, where the
second pass reads them by range.

    scratch/<name>/sorted/0003.json                  counts and hashes of a bucket, written last
                   orders/0003-train.arrow           location of each post in the order of the plan
                   known/0003.bin                    keys of posts whose body an earlier run holds (`FindKnown`)
                   quarantine/                       rows that are not posts; duplicates and changed posts by bucket

The result does not depend on how the source was cut: equal posts are ordered by their position in the source, which is
the position of their segments, and hashes are taken of `LEAVES` ranges of keys, each of which lies in one bucket.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amia.errors import StoreError
from amia.posts import Rejected
from amia.readers.splits import with_line_offset
from ray_jobs.storage.earlier import EarlierRun, find_contents, hash_range
from ray_jobs.storage.hash_index import HASH_BYTES, Hashes, is_in, read_hashes
from ray_jobs.storage.split_files import KEY, SplitIndex, bucket_file, part_file
from ray_jobs.storage.store import Store

__all__ = [
    "IN_FLIGHT",
    "LEAVES",
    "BucketReader",
    "SortedBucket",
    "bucket_count",
    "bucket_slices",
    "combine_leaves",
    "known_file",
    "order_file",
    "sort_bucket",
    "write_bucket_files",
]

LEAVES = 4096
"""Ranges of keys that are hashed separately: the digest of a corpus is that of their hashes."""
MAX_BUCKETS = 1024
UNKNOWN_BUCKETS = 64
"""Buckets of a source of unknown size."""
IN_FLIGHT = 16
"""Ranges of bytes that are fetched at the same time."""

SORT_KEYS = [
    *[("key", "ascending"), ("has_source_id", "descending"), ("content", "ascending")],
    *[("source", "ascending"), ("part", "ascending"), ("row", "ascending")],
]
Leaves = dict[str, dict[int, str]]
"""By split, leaf -> SHA-256 over its posts."""


def bucket_count(source_bytes: int | None, bucket_bytes: int) -> int:
    """Return the number of buckets, a power of two, for a source of a size (None: unknown).

    The plan does not depend on it.
    """
    if source_bytes is None:
        return UNKNOWN_BUCKETS
    return min(MAX_BUCKETS, 1 << max(0, -(-source_bytes // bucket_bytes) - 1).bit_length())


def write_bucket_files(
    store: Store, folder: str, indexes: Sequence[SplitIndex], line_offsets: Mapping[int, int]
) -> dict[str, int]:
    """Write where the segments of each bucket are, from the indexes of all splits in order.

    `line_offsets`: number of a split -> lines that come before it in its file, if it begins within one. Returns the
    posts of each bucket that has any, by its name.
    """
    buckets: dict[int, list[dict[str, Any]]] = {}
    for source, index in enumerate(indexes):
        for segment in index.segments:
            buckets.setdefault(segment.bucket, []).append({**asdict(segment), "source": source})

    def write(bucket: int) -> None:
        content = {"segments": buckets[bucket], "line_offsets": line_offsets}
        store.create(bucket_file(folder, bucket), json.dumps(content, sort_keys=True).encode())

    with ThreadPoolExecutor(IN_FLIGHT, "bucket") as pool:
        list(pool.map(write, buckets))
    return {f"{bucket:04d}": sum(item["count"] for item in buckets[bucket]) for bucket in sorted(buckets)}


@dataclass(frozen=True, slots=True)
class SortedBucket:
    """One bucket in the order of the plan."""

    orders: dict[str, pa.Table]
    """By split, one row per post: `id` (final), and `source`, `part`, `row` of its segment."""
    leaves: Leaves
    duplicates: list[Rejected]
    hashes: dict[str, Hashes]
    """`key`, `content` and `body` of each post."""
    known: int = 0
    """Posts that earlier runs hold."""
    changed: list[Rejected] = field(default_factory=list)
    """Posts that earlier runs hold with other content."""

    @property
    def counts(self) -> dict[str, int]:
        """Posts by split."""
        return {split: order.num_rows for split, order in self.orders.items()}


@dataclass(frozen=True, slots=True)
class Earlier:
    """What sorting needs to leave out the posts of earlier runs."""

    runs: Sequence[EarlierRun]
    buckets: int
    """Buckets of this ingest."""
    ranges: int
    """Files of known bodies in scratch."""
    take_changed: bool
    """Keep posts that an earlier run holds with other content."""


def sort_bucket(store: Store, folder: str, bucket: int, earlier: Earlier | None = None) -> SortedBucket:
    """Sort one bucket by key, resolve equal ids, and leave out what earlier runs hold.

    Of several posts with one id the one with the smallest content hash is kept. Posts without an id are named after
    their content hash; identical ones are numbered. Raises StoreError if parts are missing.
    """
    listed = _read_json(store, bucket_file(folder, bucket))
    tables = [KEY_WITH_PLACE.empty_table()]
    with ThreadPoolExecutor(IN_FLIGHT, "fetch") as pool:
        for segment, keys in zip(
            listed["segments"],
            pool.map(lambda item: _fetch(store, folder, item, "keys"), listed["segments"]),
            strict=True,
        ):
            tables.append(_with_place(keys, segment))
    table = pa.concat_tables(tables)
    table = table.take(pc.sort_indices(table, sort_keys=SORT_KEYS)).combine_chunks()
    rows = np.arange(table.num_rows)
    is_repeat = np.zeros(table.num_rows, bool)  # has the same key as the row before
    is_repeat[1:] = pc.equal(table["key"].slice(1), table["key"].slice(0, max(0, table.num_rows - 1))).to_numpy()
    copy = rows - np.maximum.accumulate(np.where(is_repeat, 0, rows))  # 0 for the first row of each key
    has_source_id = table["has_source_id"].to_numpy()
    offsets: Mapping[str, int] = listed["line_offsets"]
    duplicates = [
        Rejected(
            location=with_line_offset(row["location"], offsets.get(str(row["source"]), 0)),
            id=row["id"],
            reason="duplicate id",
        )
        for row in table.select(["location", "source", "id"]).filter(pa.array(is_repeat & has_source_id)).to_pylist()
    ]
    is_numbered = is_repeat & ~has_source_id
    ids = table["id"].combine_chunks()
    numbered_ids = [f"{ids[row].as_py()}-{copy[row]}" for row in rows[is_numbered]]
    ids = pc.replace_with_mask(ids, pa.array(is_numbered), pa.array(numbered_ids, pa.string()))
    table = table.set_column(table.schema.get_field_index("id"), "id", ids).filter(pa.array(~is_repeat | is_numbered))
    known, changed = 0, list[Rejected]()
    if earlier is not None:
        table, known, changed = _leave_out(store, folder, bucket, table, earlier, offsets)
    orders: dict[str, pa.Table] = {}
    leaves: Leaves = {}
    for split in sorted(pc.unique(table["split"]).to_pylist()):
        order = table.filter(pc.equal(table["split"], split))
        orders[split] = order.select(["id", "source", "part", "row"])
        leaves[split] = _hash_leaves(order)
    hashes = {name: _hashes(table[name]) for name in ("key", "body")}
    return SortedBucket(
        orders, leaves, duplicates, {**hashes, "content": _content_hashes(table["content"])}, known, changed
    )


def combine_leaves(leaves: Leaves) -> dict[str, str]:
    """Return one hash for each split, from the leaves of all buckets."""
    return {
        split: hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()
        for split, hashes in sorted(leaves.items())
    }


class BucketReader:
    """Reads posts from sorted buckets and caches the last bucket, since consecutive shards share buckets."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._bucket_split: tuple[int, str] | None = None
        self._order: pa.Table | None = None
        self._segments: dict[tuple[int, int], dict[str, Any]] = {}
        self._posts: dict[tuple[int, int], pa.Table] = {}

    def read(self, bucket: int, split: str, rows: slice) -> list[dict[str, Any]]:
        """Return posts `[start, stop)` of one split in one bucket in the order of the plan, with the columns of `ROW`.

        Ids are final. Other splits of the bucket are not read, so a small split does not cost a whole corpus.
        """
        if self._order is None or self._bucket_split != (bucket, split):
            self._order, self._posts = None, {}  # free the memory before the next bucket is fetched
            self._order = _from_ipc(self._store.read(order_file(self._folder, bucket, split)))
            segments = _read_json(self._store, bucket_file(self._folder, bucket))["segments"]
            self._segments = {(item["source"], item["part"]): item for item in segments if item["split"] == split}
            self._bucket_split = bucket, split
        order = self._order.slice(rows.start, rows.stop - rows.start).to_pylist()
        positions_by_segment: dict[tuple[int, int], list[int]] = {}
        for position, row in enumerate(order):
            positions_by_segment.setdefault((row["source"], row["part"]), []).append(position)
        missing = [place for place in positions_by_segment if place not in self._posts]
        with ThreadPoolExecutor(IN_FLIGHT, "fetch") as pool:
            fetched = pool.map(lambda place: _fetch(self._store, self._folder, self._segments[place], "rows"), missing)
            self._posts.update(zip(missing, fetched, strict=True))
        posts: list[dict[str, Any]] = [{}] * len(order)
        for place, positions in positions_by_segment.items():
            # Part by part: `take` of a table with many chunks would first copy the whole bucket into one chunk.
            selected = self._posts[place].take(pa.array([order[position]["row"] for position in positions], pa.int64()))
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


def known_file(folder: str, number: int) -> str:
    """Return the key of the known posts of one range of body hashes."""
    return f"{folder}/known/{number:04d}.bin"


def order_file(folder: str, bucket: int, split: str) -> str:
    """Return the key of the order of one bucket and split."""
    return f"{folder}/orders/{bucket:04d}-{split}.arrow"


PLACE = {"split": pa.string(), "source": pa.int32(), "part": pa.int32()}
KEY_WITH_PLACE = pa.schema([*KEY, *(pa.field(name, kind) for name, kind in PLACE.items())])


def _leave_out(
    store: Store, folder: str, bucket: int, table: pa.Table, earlier: Earlier, offsets: Mapping[str, int]
) -> tuple[pa.Table, int, list[Rejected]]:
    """Return a bucket without what earlier runs hold, the number of known posts, and the changed ones."""
    keys, contents = _hashes(table["key"]), _content_hashes(table["content"])
    holders, held = find_contents(earlier.runs, keys, bucket, earlier.buckets)
    has_known_key = holders >= 0
    is_changed = has_known_key & (held != contents)
    low, high = hash_range(bucket, earlier.buckets)
    has_known_body = np.zeros(len(keys), bool)
    for number in range(earlier.ranges):
        has_known_body |= is_in(keys, read_hashes(store, known_file(folder, number), low, high)[0])
    is_known = (has_known_key | has_known_body) & ~is_changed
    changed = [
        Rejected(
            location=with_line_offset(row["location"], offsets.get(str(row["source"]), 0)),
            id=row["id"],
            reason=f"changed: {earlier.runs[holder].address} holds this id with other content",
        )
        for holder, row in zip(
            holders[is_changed],
            table.select(["location", "source", "id"]).filter(pa.array(is_changed)).to_pylist(),
            strict=True,
        )
    ]
    left = ~is_known if earlier.take_changed else ~(is_known | is_changed)
    return table.filter(pa.array(left)), int(is_known.sum()), changed


def _hashes(column: pa.ChunkedArray) -> Hashes:
    """Return a column of 16 bytes as an array."""
    return np.frombuffer(_bytes(column.cast(pa.binary())), f"S{HASH_BYTES}")


def _content_hashes(column: pa.ChunkedArray) -> Hashes:
    """Return a column of hexadecimal content hashes as an array of their bytes."""
    return np.frombuffer(bytes.fromhex(_bytes(column).decode()), f"S{HASH_BYTES}")


def _with_place(keys: pa.Table, segment: Mapping[str, Any]) -> pa.Table:
    """Add the columns that are the same for all posts of a segment."""
    for name, kind in PLACE.items():
        keys = keys.append_column(name, pa.repeat(pa.scalar(segment[name], kind), keys.num_rows))
    return keys


def _hash_leaves(order: pa.Table) -> dict[int, str]:
    """Return the hash over id and content of the posts of each leaf, in order."""
    prefix = np.frombuffer(_bytes(order["key"].cast(pa.binary())), ">u2").reshape(-1, HASH_BYTES // 2)[:, 0]
    leaves, first = np.unique(prefix.astype(np.int64) * LEAVES >> 16, return_index=True)
    lines = pc.binary_join_element_wise(order["id"], order["content"], "", "\n")
    ends = np.append(0, np.cumsum(pc.binary_length(lines).to_numpy().astype(np.int64)))
    data, starts = memoryview(_bytes(lines)), ends[np.append(first, order.num_rows)]
    return {
        int(leaf): hashlib.sha256(data[start:stop]).hexdigest()
        for leaf, start, stop in zip(leaves, starts[:-1], starts[1:], strict=True)
    }


def _bytes(column: pa.ChunkedArray) -> bytes:
    """Return the concatenated values of a column of strings or bytes."""
    return b"".join(
        chunk.buffers()[2].to_pybytes()[offsets[0] : offsets[-1]]
        for chunk in column.chunks
        if len(chunk)
        for offsets in [np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]]
    )


def _fetch(store: Store, folder: str, segment: Mapping[str, Any], kind: str) -> pa.Table:
    """Fetch a segment of posts (`rows`) or of their sort keys (`keys`)."""
    start, length = segment[kind]
    return _from_ipc(
        store.read_range(part_file(folder, f"{segment['source']:05d}", segment["part"]), start, start + length)
    )


def _read_json(store: Store, key: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(store.read(key))
    except StoreError as error:
        if store.exists(key):
            raise
        raise StoreError(
            f"{key} in {store.address} is missing: another ingest has finished and removed it. Start the same command "
            "again"
        ) from error
    return content


def _from_ipc(data: bytes) -> pa.Table:
    """Read an Arrow stream from memory of Arrow's allocator.

    `bytes` are on the C heap, which fragments from bucket to bucket, so that the actor would keep growing.
    """
    buffer = pa.allocate_buffer(len(data))
    with memoryview(buffer).cast("B") as view:
        view[:] = data
    return pa.ipc.open_stream(buffer).read_all()
