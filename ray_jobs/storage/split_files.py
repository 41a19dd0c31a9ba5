"""Files of the first pass of ingest: the posts of a split of the source, grouped by bucket.

A process reads one split and writes it in parts of bounded size. A part holds, for each bucket and each of the corpus'
splits (train, test), a segment of the posts and a segment of their sort keys, in the order of the source. The index of
the split says where each segment is, so that a bucket is gathered by one range of bytes from each part. The index is
published last: a split with an index is finished and is never read again.

    scratch/<name>/splits/00003.json                      index of a split
                   parts/00003-00000.arrow                segments of a part
                   parts/00003-00000-rejected.jsonl       its rows that are not posts, with the lines of the split
                   parts/00003-00000-bodies.bin           body hash and key of its posts, if earlier runs are asked
                   buckets/0007.json                      segments of a bucket, from the indexes of all splits

The bytes depend on the split and the seed alone, so two processes that read one split write the same files.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from amia.posts import Post, Rejected
from ray_jobs.storage.hash_index import HASH_BYTES, encode_hashes
from ray_jobs.storage.store import Store

__all__ = [
    "KEY",
    "ROW",
    "Segment",
    "SplitIndex",
    "SplitWriter",
    "bodies_file",
    "bucket_file",
    "order_key",
    "part_file",
    "read_index",
    "rejected_file",
    "rejected_lines",
    "split_file",
    "to_ipc",
]

PART_BYTES = 64_000_000
"""Size of the posts held in memory above which a part is written."""
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
        "body": pa.binary(16),
        "location": pa.string(),
        "id": pa.string(),
        "row": pa.int32(),
    }
)


@dataclass(frozen=True, slots=True)
class Segment:
    """Posts of one bucket and one split of the corpus in one part."""

    bucket: int
    split: str
    part: int
    count: int
    rows: tuple[int, int]
    """First byte and number of bytes of the posts in the part."""
    keys: tuple[int, int]
    """First byte and number of bytes of their sort keys."""


@dataclass(slots=True)
class SplitIndex:
    """What one split of the source holds."""

    segments: list[Segment] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    """Entity types, sorted."""
    posts: int = 0
    repaired: int = 0
    labeled: int = 0
    rejected: int = 0
    rejected_parts: int = 0
    """Files of rejected rows."""
    lines: int = 0
    """Lines of JSON that were read. The next piece of the file continues its numbers."""

    @property
    def parts(self) -> list[int]:
        """Numbers of the parts, in order."""
        return sorted({segment.part for segment in self.segments})

    def to_json(self) -> bytes:
        """Return the content of the index file."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def read_index(store: Store, folder: str, split: str) -> SplitIndex:
    """Read the index of a finished split."""
    fields = json.loads(store.read(split_file(folder, split)))
    segments = [
        Segment(**{**entry, "rows": tuple(entry["rows"]), "keys": tuple(entry["keys"])}) for entry in fields["segments"]
    ]
    return SplitIndex(**{**fields, "segments": segments})


class SplitWriter:
    """Takes the posts of a split in order and writes its parts; `finish` returns the index."""

    def __init__(
        self,
        store: Store,
        folder: str,
        split: str,
        *,
        seed: int,
        buckets: int,
        with_bodies: bool = False,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """`with_bodies`: write the body hashes of each part, for `FindKnown`."""
        self._store, self._folder, self._split, self._seed, self._buckets = store, folder, split, seed, buckets
        self._with_bodies, self._part_bytes = with_bodies, part_bytes
        # Tuples of the columns of `ROW` and of `KEY`. The garbage collector leaves tuples of strings alone, which
        # a hundred thousand posts or dicts in memory would keep busy.
        self._rows: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
        self._keys: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
        self._bytes = self._parts = 0
        self._rejected: list[Rejected] = []
        self._types: set[str] = set()
        self._index = SplitIndex()

    def add(self, post: Post, *, has_source_id: bool, content: str, body: bytes) -> None:
        """Add a post. `has_source_id`: whether the source gave its id; `content`, `body`: its hashes."""
        key = order_key(self._seed, post.id)
        place = int.from_bytes(key[:4], "big") * self._buckets >> 32, post.split
        rows = self._rows.setdefault(place, [])
        self._keys.setdefault(place, []).append((key, has_source_id, content, body, post.location, post.id, len(rows)))
        rows.append(
            (post.id, post.split, post.text, post.tokens, post.tags, post.ner_tags, post.image, post.image_path)
        )
        self._index.posts += 1
        self._index.repaired += post.repaired
        if post.ner_tags is not None:
            self._index.labeled += 1
            self._types.update(tag[2:] for tag in set(post.ner_tags) if tag != "O")
        self._bytes += _memory_bytes(post)
        if self._bytes > self._part_bytes:
            self._write_part()

    def reject(self, rejected: Rejected) -> None:
        """Add a row that is not a post."""
        self._index.rejected += 1
        self._rejected.append(rejected)
        if len(self._rejected) >= MAX_REJECTED:
            self._write_rejected()

    def finish(self, lines: int) -> SplitIndex:
        """Write what is left, and return the index, which is yet to be published. `lines`: lines that were read."""
        if self._rows:
            self._write_part()
        if self._rejected:
            self._write_rejected()
        self._index.types, self._index.lines = sorted(self._types), lines
        return self._index

    def _write_part(self) -> None:
        data = io.BytesIO()
        hashed: list[tuple[Any, ...]] = []
        for bucket, split in sorted(self._rows):
            rows, keys = self._rows.pop((bucket, split)), self._keys.pop((bucket, split))
            hashed += keys
            spans = []
            for values, schema in ((rows, ROW), (keys, KEY)):
                start = data.tell()
                spans.append((start, data.write(to_ipc(pa.table(list(zip(*values, strict=True)), schema=schema)))))
            self._index.segments.append(Segment(bucket, split, self._parts, len(rows), spans[0], spans[1]))
        if self._with_bodies:
            places = [KEY.get_field_index(name) for name in ("body", "key")]
            hashes = [np.array([row[place] for row in hashed], f"S{HASH_BYTES}") for place in places]
            self._store.create(bodies_file(self._folder, self._split, self._parts), encode_hashes(*hashes))
        self._store.create(part_file(self._folder, self._split, self._parts), data.getvalue())
        self._parts, self._bytes = self._parts + 1, 0

    def _write_rejected(self) -> None:
        key = rejected_file(self._folder, self._split, self._index.rejected_parts)
        self._store.create(key, rejected_lines(self._rejected))
        self._index.rejected_parts += 1
        self._rejected = []


def rejected_lines(rows: Sequence[Rejected]) -> bytes:
    """Return rows that are not posts as the lines of a file of the quarantine."""
    records = ({"where": row.location, "id": row.id, "reason": row.reason} for row in rows)
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def order_key(seed: int, post_id: str) -> bytes:
    """Return the 16 bytes by which posts are ordered: a hash of the id, keyed with the run's seed."""
    return blake2b(post_id.encode(), key=seed.to_bytes(8, "little"), digest_size=16).digest()


def split_file(folder: str, split: str) -> str:
    """Return the key of the index of a split."""
    return f"{folder}/splits/{split}.json"


def part_file(folder: str, split: str, part: int) -> str:
    """Return the key of a part of a split."""
    return f"{folder}/parts/{split}-{part:05d}.arrow"


def bodies_file(folder: str, split: str, part: int) -> str:
    """Return the key of the body hashes of a part."""
    return f"{folder}/parts/{split}-{part:05d}-bodies.bin"


def rejected_file(folder: str, split: str, part: int) -> str:
    """Return the key of rejected rows of a split."""
    return f"{folder}/parts/{split}-{part:05d}-rejected.jsonl"


def bucket_file(folder: str, bucket: int) -> str:
    """Return the key of the segments of a bucket."""
    return f"{folder}/buckets/{bucket:04d}.json"


def to_ipc(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _memory_bytes(post: Post) -> int:
    """Return the approximate size of a post and its key in memory. Each token and tag is a separate string."""
    return 1_500 + 2 * len(post.text) + 180 * len(post.tokens or ()) + len(post.image or b"")
